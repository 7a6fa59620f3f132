"""The differences between the defaults of PyTorch and Keras on this language model, and the diagnosis."""

from minilm.comparison.defaults.diagnosis import Diagnosis, Experiment, diagnose
from minilm.comparison.defaults.table import DEFAULTS, INJECTABLE, Default

__all__ = ["DEFAULTS", "INJECTABLE", "Default", "Diagnosis", "Experiment", "diagnose"]
