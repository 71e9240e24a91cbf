"""Pictures, larger: by resampling, or by a network of the user's."""
