"""minilm debug: step through a generation or a training."""
