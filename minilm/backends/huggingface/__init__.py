"""Causal language models of Hugging Face behind minilm's protocols."""
