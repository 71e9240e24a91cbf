"""The OpenAI Responses API: items in, items and events out."""
