"""The LSTM language model in plain NumPy: the reference, and the text to learn from. Begin with lstm.py."""
