"""The OpenAI Batch API: bodies, input files, lines, results."""
