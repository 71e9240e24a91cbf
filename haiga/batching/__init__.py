"""Many sequences on one model: scheduler, KV blocks, sampler, loop. Rule: synchronous; nothing here knows a model."""
