"""Pictures of records (matplotlib): each has one sentence that says how to read it, and an alt text.

>>> from minilm.faces.plots import plot_losses
>>> plot_losses({}, floor=1.2).alt
'Loss curves: none recorded. The entropy floor is 1.200 nats.'
"""

import os

from minilm.errors import MinilmError

try:
    import matplotlib  # noqa: F401 - the parts below need it
except ValueError:
    # matplotlib reads this variable when it is loaded. Pictures need no backend, but a wrong one stops it.
    raise MinilmError(
        f"matplotlib knows no backend {os.environ.get('MPLBACKEND')!r}; unset the variable MPLBACKEND"
    ) from None

from minilm.faces.plots.course import plot_course, plot_embeddings, plot_ranks, plot_surprisal
from minilm.faces.plots.heatmap import plot_heatmap
from minilm.faces.plots.picture import Picture, save_picture
from minilm.faces.plots.step import plot_draw_map, plot_step
from minilm.faces.plots.training import plot_gates_over_text, plot_gates_over_training, plot_losses

__all__ = [
    "Picture",
    "plot_course",
    "plot_draw_map",
    "plot_embeddings",
    "plot_gates_over_text",
    "plot_gates_over_training",
    "plot_heatmap",
    "plot_losses",
    "plot_ranks",
    "plot_step",
    "plot_surprisal",
    "save_picture",
]
