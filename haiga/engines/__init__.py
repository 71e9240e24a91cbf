"""Who runs models: each engine turns a request into events."""
