"""Checks of a recorded run: within a step, between steps, and against its logits."""
