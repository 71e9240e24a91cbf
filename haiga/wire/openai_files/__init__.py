"""The OpenAI Files and Uploads APIs."""
