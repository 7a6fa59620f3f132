"""How the doctor watches a TensorFlow or Keras loop."""
