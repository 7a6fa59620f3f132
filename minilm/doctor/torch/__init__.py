"""How the doctor watches a PyTorch loop."""
