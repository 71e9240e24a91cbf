"""The OpenAI Moderations API, read and written, with what this server adds: explanations and policies."""
