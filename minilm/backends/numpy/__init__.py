"""The LSTM in NumPy, by hand: the reference, and the text to learn from."""
