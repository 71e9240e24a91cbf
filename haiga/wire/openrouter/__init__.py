"""The OpenRouter API."""

PROVIDER = "Haiga"
"""What this server calls itself where the API names a provider."""
