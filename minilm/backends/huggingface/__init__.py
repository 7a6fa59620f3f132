"""Causal language models of Hugging Face under minilm's protocols."""
