"""minilm trace: show, plot, export, compare, check and replay a recorded run."""
