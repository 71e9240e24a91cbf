"""What the product does: access, models by name, inference. Rule: core values in and out, seams from core/ports."""
