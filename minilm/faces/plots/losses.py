"""Loss curves of several frameworks over one another, with the entropy that no model can go below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minilm.faces.numerals import count, fixed
from minilm.faces.plots.picture import BLUE, GREEN, INK, ORANGE, VERMILLION, Picture, drawable, panels, write
from minilm.records import TrainStep

__all__ = ["losses"]

_STYLES = [
    (BLUE, 5.0, "-", 0.35),
    (ORANGE, 2.4, "-", 1.0),
    (INK, 1.1, (0, (4, 3)), 1.0),
    (GREEN, 1.1, ":", 1.0),
]
_ALONE = (BLUE, 1.2, "-", 1.0)
_CAPTION = (
    "Each line is one framework's training loss and lies on the others where they agree, marks are the loss "
    "on held-out text, and the dashed line is the text's own entropy, below which nothing can be learnt."
)


def losses(curves: Mapping[str, Sequence[TrainStep]], floor: float | None = None) -> Picture:
    """Loss in nats per token over the steps, one curve for each name, widest first.

    floor: the true entropy of the text in nats per token, where it is known.
    """
    figure, (panel,) = panels(8, 4.4)
    for place, (name, steps) in enumerate(curves.items()):
        colour, width, dash, alpha = _ALONE if len(curves) == 1 else _STYLES[place % len(_STYLES)]
        x, y = [s.index for s in steps], [s.loss for s in steps]
        panel.plot(x, y, color=colour, linewidth=width, linestyle=dash, alpha=alpha, label=drawable(name))
        held = [(s.index, s.validation) for s in steps if s.validation is not None]
        style = {"marker": "osD^"[place % 4], "markersize": 9 - 2 * (place % 4), "fillstyle": "none"}
        panel.plot([i for i, _ in held], [v for _, v in held], linestyle="", color=colour, **style)
    if any(s.validation is not None for steps in curves.values() for s in steps):
        panel.plot([], [], "o", color=INK, fillstyle="none", label="marks: held-out text")
    if floor is not None:
        panel.axhline(
            floor, color=VERMILLION, linestyle="--", linewidth=1.5, label=f"entropy floor {floor:.3f}"
        )
    panel.grid(axis="y", color="#e6eaee")
    write(panel, "Loss while learning", "training step", "loss (nats per token)")
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=9, frameon=False)
    return Picture(figure, _CAPTION, _alt(curves, floor))


def _alt(curves: Mapping[str, Sequence[TrainStep]], floor: float | None) -> str:
    facts = [_curve(name, steps) for name, steps in curves.items()]
    ground = "" if floor is None else f" The entropy floor is {fixed(floor, 3)} nats."
    return f"Loss curves: {'; '.join(facts) or 'none recorded'}.{ground}"


def _curve(name: str, steps: Sequence[TrainStep]) -> str:
    if not steps:
        return f"{name} without steps"
    course = f"{name} from {fixed(steps[0].loss, 3)} to {fixed(steps[-1].loss, 3)} nats"
    held = [s.validation for s in steps if s.validation is not None]
    ending = f", {fixed(held[-1], 3)} on held-out text" if held else ""
    return f"{course} at step {count(steps[-1].index)}{ending}"
