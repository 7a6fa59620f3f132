"""The LSTM in PyTorch, and torch modules of the user's own."""
