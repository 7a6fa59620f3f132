"""Tables of a training: losses of a batch, worst tokens, norms, two branches, gates, a prompt over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from minilm.faces.layout import WIDTH, align, clip, wrap_line
from minilm.faces.numerals import fixed, probability, signed
from minilm.faces.visible import piece, quoted, visible
from minilm.records import TrainStep

if TYPE_CHECKING:
    from minilm.comparison.training import PromptMoment, UpdateEffect
    from minilm.training.timeline.branch_diff import BranchStep, WeightDifference
    from minilm.training.timeline.gates import GateRow
    from minilm.training.timeline.token_losses import ArrayFacts, TokenLoss

__all__ = [
    "arrays_text",
    "batch_text",
    "branch_text",
    "effect_text",
    "gates_text",
    "moments_text",
    "norms_text",
    "surprised_text",
]


def batch_text(rows: Sequence[Sequence[TokenLoss]], step: TrainStep) -> str:
    """Return a batch row by row: its first id, then the text, the id and the loss (nats) of each target."""
    lines = []
    for number, row in enumerate(rows):
        shown = " · ".join(f"{clip(piece(t.text, t.bytes), 24)} {t.id} {fixed(t.loss)}" for t in row)
        lines += wrap_line(f"row {number}  from id {int(step.ids[number, 0])}: {shown}", WIDTH, "       ")
    left = len(step.ids) - len(rows)
    return "\n".join([*lines, *([f"and {left} rows more"] if left > 0 else [])])


def surprised_text(tokens: Sequence[TokenLoss]) -> str:
    """Return a line for each token: its loss, text, id and place, and the text before it."""
    rows = [["loss", "token", "id", "row", "at", "after"]]
    for t in tokens:
        before = visible(t.before, keep="")[-40:]
        place = [str(t.id), str(t.row), str(t.position)]
        rows.append([fixed(t.loss, 3), clip(piece(t.text, t.bytes), 24), *place, f"…{before}"])
    return "\n".join(clip(line, WIDTH) for line in align(rows, "rlrrrl", 2))


def norms_text(step: TrainStep) -> str:
    """Return the norms of gradient, update and weight of each parameter, and those of the whole step."""
    if step.norms is None:
        return f"step {step.index} was not watched, so it has no norms"
    rows = [["parameter", "gradient", "update", "weight", "update/weight"]]
    for name, norms in step.norms.items():
        figures = (norms.gradient, norms.update, norms.weight, norms.ratio)
        rows.append([clip(visible(name, keep=""), 48), *(f"{figure:.3g}" for figure in figures)])
    clipped = "not clipped" if step.clip_factor == 1 else f"clipped × {step.clip_factor:.3g}"
    whole = f"gradient norm {step.gradient_norm:.4g}, {clipped}; rate {step.rate:g}"
    return "\n".join([*align(rows, "lrrrr", 2), whole])


def branch_text(
    names: tuple[str, str], steps: Iterable[BranchStep], weights: Mapping[str, WeightDifference]
) -> str:
    """Return two branches step by step, and the difference of their weights at the end."""
    one, other = names
    rows = [
        [
            "step",
            f"loss {one}",
            f"loss {other}",
            "difference",
            "rate",
            "rate",
            "gradient",
            "gradient",
            "batch",
        ]
    ]
    for step in steps:
        losses = [fixed(loss, 4) for loss in step.losses]
        figures = [f"{figure:.3g}" for figure in (*step.rates, *step.gradients)]
        difference = f"{abs(step.losses[0] - step.losses[1]):.1e}"
        rows.append([str(step.index), *losses, difference, *figures, "same" if step.same_batch else "other"])
    lines = (
        align(rows, "rrrrrrrrl", 2) if len(rows) > 1 else ["the branches have no step in which they differ"]
    )
    table = [["weights", "difference", f"norm in {one}"]]
    table += [[name, f"{found.apart:.3g}", f"{found.weight:.3g}"] for name, found in weights.items()]
    return "\n".join(clip(line, WIDTH) for line in [*lines, *align(table, "lrr", 2)])


def gates_text(rows: Sequence[GateRow], pieces: Sequence[tuple[str, bytes]]) -> str:
    """Return a line for each token: means of the gates, norms of cell and hidden state, saturated share."""
    lines = [["token", "i", "f", "g", "o", "|c|", "|h|", "saturated"]]
    for row, (text, raw) in zip(rows, pieces, strict=True):
        means = [fixed(mean, 3) for mean in (row.i, row.f, row.g, row.o, row.c, row.h)]
        lines.append([clip(piece(text, raw), 24), *means, f"{row.saturated:.0%}"])
    return "\n".join(align(lines, "lrrrrrrr", 2))


def arrays_text(arrays: Mapping[str, ArrayFacts]) -> str:
    """Return a line for each parameter: shape, norm, smallest and largest value, share of zeros."""
    rows = [["parameter", "shape", "norm", "least", "greatest", "zeros"]]
    for name, facts in arrays.items():
        numbers = [f"{number:.3g}" for number in (facts.norm, facts.least, facts.greatest)]
        rows.append([name, " × ".join(map(str, facts.shape)), *numbers, f"{facts.zeros:.0%}"])
    return "\n".join(align(rows, "llrrrr", 2))


def moments_text(moments: Sequence[PromptMoment]) -> str:
    """Return a line for each place of a training: watched word, entropy, gates, and the generated text."""
    watched = quoted(moments[0].watched) if moments else ""
    rows = [["step", f"p {watched}", "rank", "entropy", "norm", "drift", "i", "f", "o", "text"]]
    for m in moments:
        gates = ["–"] * 3 if m.gates is None else [fixed(gate) for gate in (m.gates.i, m.gates.f, m.gates.o)]
        figures = [probability(m.p), str(m.rank), fixed(m.entropy), fixed(m.norm), fixed(m.drift, 3)]
        rows.append([str(m.index), *figures, *gates, quoted(m.text)])
    return "\n".join(clip(line, WIDTH) for line in align(rows, "rrrrrrrrrl", 2))


def effect_text(effect: UpdateEffect) -> str:
    """Return the effect of one update on a prediction: probabilities, and the share of each parameter."""
    rows = [["token", "p before", "p after"]]
    for p in effect.predictions:
        rows.append([clip(piece(p.text, p.bytes), 24), fixed(p.p_before, 5), fixed(p.p_after, 5)])
    token = piece(effect.watched.text, effect.watched.bytes)
    lines = [f"the update of step {effect.index} changed log p of {token} by {signed(effect.change, 4)} nats"]
    shares = [[name, signed(share, 4)] for name, share in effect.shares.items()]
    table = align([["share of", "to first order"], *shares, ["the rest", signed(effect.rest, 4)]], "lr", 2)
    return "\n".join([*lines, *align(rows, "lrr", 2), *table])
