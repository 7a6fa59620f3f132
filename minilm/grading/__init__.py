"""The course: its lessons on disk, a pytest plugin that counts points, and notebooks made from lessons."""
