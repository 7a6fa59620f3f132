"""Text to batches to steps: training as a generator of frozen records."""
