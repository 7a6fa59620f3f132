"""The sampling stages, by what they look at."""
