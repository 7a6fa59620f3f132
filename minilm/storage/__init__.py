"""Arrays and models on disk."""
