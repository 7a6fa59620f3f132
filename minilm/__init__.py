"""A glass box for language models."""
