"""A training as a picture: loss curves with the lowest possible loss, and the gates of an LSTM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from minilm.faces.numerals import count, fixed
from minilm.faces.plots.picture import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    VERMILLION,
    Picture,
    drawable,
    label,
    panels,
    set_labels,
)
from minilm.records import TrainStep

if TYPE_CHECKING:
    from minilm.training.timeline.gates import GateMoment

__all__ = ["plot_gates_over_text", "plot_gates_over_training", "plot_losses"]

# Colour, width, dash and opacity of each curve: curves that agree stay visible on top of each other.
_CURVES = [
    (BLUE, 5.0, "-", 0.35),
    (ORANGE, 2.4, "-", 1.0),
    (INK, 1.1, (0, (4, 3)), 1.0),
    (GREEN, 1.1, ":", 1.0),
]
_ONLY_CURVE = (BLUE, 1.2, "-", 1.0)
_GATE_NAMES = {"i": "input", "f": "forget", "g": "candidate", "o": "output", "c": "cell", "h": "hidden"}
_GATE_COLOURS = {"i": BLUE, "f": VERMILLION, "g": GREY, "o": GREEN}
_LOSSES_CAPTION = (
    "Each line is one framework's training loss, and the lines cover each other where the frameworks agree. "
    "Marks are the loss on held-out text, the dashed line is the text's entropy, the lowest possible loss."
)
_OVER_TEXT = (
    "Each column is a token and each line a unit of the layer: a gate is white where it is closed and dark "
    "where it is open; candidate, cell and hidden state are blue below zero and red above."
)
_OVER_TRAINING = (
    "Each line is the mean of a gate over all units and tokens of one text, read again at every place of the "
    "training; the lower panel shows which share of i, f and o is saturated: nearly closed or nearly open."
)


def plot_losses(curves: Mapping[str, Sequence[TrainStep]], floor: float | None = None) -> Picture:
    """Draw the loss in nats per token over the training steps.

    Args:
        curves: the steps of each framework by its name; the first has the widest line.
        floor: the true entropy of the text in nats per token, where it is known.
    """
    figure, (panel,) = panels(8, 4.4)
    for place, (name, steps) in enumerate(curves.items()):
        colour, width, dash, alpha = _ONLY_CURVE if len(curves) == 1 else _CURVES[place % len(_CURVES)]
        x, y = [s.index for s in steps], [s.loss for s in steps]
        panel.plot(x, y, color=colour, linewidth=width, linestyle=dash, alpha=alpha, label=drawable(name))
        held_out = [(s.index, s.validation) for s in steps if s.validation is not None]
        style = {"marker": "osD^"[place % 4], "markersize": 9 - 2 * (place % 4), "fillstyle": "none"}
        panel.plot([i for i, _ in held_out], [v for _, v in held_out], linestyle="", color=colour, **style)
    if any(s.validation is not None for steps in curves.values() for s in steps):
        panel.plot([], [], "o", color=INK, fillstyle="none", label="marks: held-out text")
    if floor is not None:
        panel.axhline(
            floor, color=VERMILLION, linestyle="--", linewidth=1.5, label=f"entropy floor {floor:.3f}"
        )
    panel.grid(axis="y", color="#e6eaee")
    set_labels(panel, "Loss while learning", "training step", "loss (nats per token)")
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=9, frameon=False)
    return Picture(figure, _LOSSES_CAPTION, _describe_losses(curves, floor))


def _describe_losses(curves: Mapping[str, Sequence[TrainStep]], floor: float | None) -> str:
    facts = [_describe_curve(name, steps) for name, steps in curves.items()]
    entropy = "" if floor is None else f" The entropy floor is {fixed(floor, 3)} nats."
    return f"Loss curves: {'; '.join(facts) or 'none recorded'}.{entropy}"


def _describe_curve(name: str, steps: Sequence[TrainStep]) -> str:
    if not steps:
        return f"{name} without steps"
    change = f"{name} from {fixed(steps[0].loss, 3)} to {fixed(steps[-1].loss, 3)} nats"
    held_out = [s.validation for s in steps if s.validation is not None]
    ending = f", {fixed(held_out[-1], 3)} on held-out text" if held_out else ""
    return f"{change} at step {count(steps[-1].index)}{ending}"


def plot_gates_over_text(moment: GateMoment, pieces: Sequence[tuple[str, bytes]]) -> Picture:
    """Draw i, f, g, o, c and h of every unit over a text, a panel (H, T) for each.

    The units are in the order of their mean forget gate, the most open one first.

    Args:
        moment: the gates of one reading.
        pieces: text and bytes of every token, (T,).
    """
    tokens = len(moment.ids)
    figure, axes = panels(min(max(6.0, 1.5 + 0.4 * tokens), 16.0), 11, 6, sharex=True)
    order = np.argsort(-moment.f.mean(axis=0), kind="stable")
    for panel, name in zip(axes, _GATE_NAMES, strict=True):
        values = getattr(moment, name)[:, order].T  # (H, T)
        signed = name in "gch"
        # The cell state has no bound; the gates and the hidden state are within -1 and 1.
        bound = max(1.0, float(np.abs(values).max())) if name == "c" else 1.0
        image = panel.imshow(
            values,
            aspect="auto",
            interpolation="nearest",
            cmap="RdBu_r" if signed else "Greys",
            vmin=-bound if signed else 0,
            vmax=bound,
        )
        figure.colorbar(image, ax=panel, pad=0.01, fraction=0.03).ax.tick_params(labelsize=7)
        set_labels(panel, None, None, f"{_GATE_NAMES[name]} {name}")
        panel.set_yticks([])
    names = [label(text, raw, 12) for text, raw in pieces]
    axes[-1].set_xticks(range(tokens), names, rotation=90, parse_math=False)
    set_labels(axes[0], f"Layer {moment.layer} reading, after {moment.index} updates")
    return Picture(figure, _OVER_TEXT, _describe_gates(moment))


def plot_gates_over_training(moments: Sequence[GateMoment]) -> Picture:
    """Draw the means of i, f, g and o over the updates, and the share of i, f and o that is saturated."""
    figure, (above, below) = panels(8, 5.4, 2, sharex=True, height_ratios=(3, 1))
    steps = [moment.index for moment in moments]
    rows = [moment.rows() for moment in moments]
    for name, colour in _GATE_COLOURS.items():
        means = [float(np.mean([getattr(row, name) for row in one])) for one in rows]
        above.plot(steps, means, marker="o", markersize=4, color=colour, label=f"{_GATE_NAMES[name]} {name}")
    saturated = [float(np.mean([row.saturated for row in one])) for one in rows]
    below.plot(steps, saturated, marker="s", markersize=4, color=ORANGE)
    above.axhline(0, color=INK, linewidth=0.5)
    below.set_ylim(0, max(0.05, *saturated, 0) * 1.1)
    above.legend(fontsize=9, frameon=False, ncols=4)
    set_labels(above, "Gates while learning", None, "mean")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    set_labels(below, None, "updates made", "saturated")
    ends = (
        f"forget gate from {fixed(_mean_f(moments[0]), 3)} to {fixed(_mean_f(moments[-1]), 3)}"
        if moments
        else ""
    )
    return Picture(figure, _OVER_TRAINING, f"Mean gates at {len(steps)} places of a training. {ends}.")


def _mean_f(moment: GateMoment) -> float:
    return float(moment.f.mean())


def _describe_gates(moment: GateMoment) -> str:
    means = ", ".join(f"{name} {fixed(float(getattr(moment, name).mean()), 3)}" for name in _GATE_NAMES)
    return f"Gates of {len(moment.ids)} tokens and {moment.i.shape[1]} units. Means: {means}."
