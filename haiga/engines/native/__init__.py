"""The engine of our own: where the scheduler (batching) and the graphs (models) meet."""
