"""A training as a value: step, rewind, branch and compare."""
