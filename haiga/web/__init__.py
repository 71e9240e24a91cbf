"""URLs, middleware and pages over HTTP. Rule: handlers are thin; what a request means is decided below."""
