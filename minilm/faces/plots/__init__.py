"""Pictures of records (matplotlib): each with one sentence that says how to read it, and an alt text.

>>> from minilm.faces.plots import losses
>>> losses({}, floor=1.2).alt
'Loss curves: none recorded. The entropy floor is 1.200 nats.'
"""

from minilm.faces.plots.course import course, embeddings, ranks
from minilm.faces.plots.draw_map import draw_map
from minilm.faces.plots.heatmap import heatmap
from minilm.faces.plots.losses import losses
from minilm.faces.plots.picture import Picture, save
from minilm.faces.plots.step_bars import bars

__all__ = ["Picture", "bars", "course", "draw_map", "embeddings", "heatmap", "losses", "ranks", "save"]
