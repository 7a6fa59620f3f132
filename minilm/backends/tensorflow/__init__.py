"""The LSTM in TensorFlow, and Keras models of the user's own."""
