"""A student's LSTM compared with the reference, and the mistake named."""
