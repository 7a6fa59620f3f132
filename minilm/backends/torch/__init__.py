"""The LSTM in PyTorch, and nets of the user's own."""
