"""Webhooks on the wire: the API of their endpoints, and what is sent."""
