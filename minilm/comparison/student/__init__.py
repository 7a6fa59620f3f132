"""Compare a student's LSTM with the reference, and name the mistake."""
