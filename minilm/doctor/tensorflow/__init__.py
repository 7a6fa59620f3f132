"""The doctor at TensorFlow and Keras loops; only these modules of the doctor import TensorFlow."""
