"""The differences between PyTorch and Keras on this language model, by name, and a NumPy pair that has them.

One file per family; table.py lists the rows, experiment.py puts the families together.
"""

from minilm.comparison.defaults.experiment import Experiment
from minilm.comparison.defaults.table import INJECTABLE, ROWS, Row, named

__all__ = ["INJECTABLE", "ROWS", "Experiment", "Row", "named"]
