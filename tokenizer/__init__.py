"""Text to ids and back: SentencePiece BPE, and the same algorithm by hand."""
