"""The Anthropic Messages API, both versions."""
