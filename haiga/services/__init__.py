"""What the product does: access, models by name, inference. Rule: asyncio, core values in and out, seams from core/ports."""
