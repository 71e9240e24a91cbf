"""Many sequences on one model: scheduler, KV blocks, sampler, loop. Rule: synchronous, and nothing here knows a model."""
