"""What characters mean: tokens, chat templates, answers taken apart, tool-call dialects.

Rule: plain synchronous code over core values; nothing here knows a model's weights or a socket.
"""
