"""The LSTM in TensorFlow, and Keras models of the user's own.

TensorFlow reads the two settings below when it is imported. Python runs this file before any other file of
the package, so it is the one place where they come early enough.
"""

import os

# Warnings and the list of the processor's abilities stay off the user's screen.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# oneDNN adds numbers in another order than the reference, which shows in the last digits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
