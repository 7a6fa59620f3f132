"""The differences between PyTorch and Keras on this language model, by name, and a NumPy pair that has them.

One file per family; table.py lists the rows, experiment.py puts the families together.
"""

from minilm.comparison.rows.experiment import Experiment
from minilm.comparison.rows.table import INJECTABLE, ROWS, Row, named

__all__ = ["INJECTABLE", "ROWS", "Experiment", "Row", "named"]
