"""Pictures, by diffusers' pipelines in processes of their own."""
