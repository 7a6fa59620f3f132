"""The inside of a model as tables, one per record of minilm.inside; pictures are in plots/inside.py.

`names` are the tokens as they are written, one per place; `of` names the logit that is split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from minilm.faces.layout import WIDTH, align, clip
from minilm.faces.numerals import fixed, probability, signed

if TYPE_CHECKING:
    from minilm.inside import HeadAttention, LayerGates, LayerLens, MemorySplit, Neighbour, UnitShares

__all__ = [
    "attention_table",
    "gates_table",
    "lens_table",
    "memory_table",
    "neighbours_table",
    "units_table",
]

# widths in characters: of a token, and of the longest bar
_TOKEN = 20
_BAR = 16


def gates_table(found: LayerGates, names: Sequence[str]) -> str:
    """Return a row per token: the mean of each gate, its shares below 0.1 and above 0.9, and the norms."""
    heads = ["i  <.1  >.9", "f  <.1  >.9", "g  <.1  >.9", "o  <.1  >.9"]
    rows = [[f"layer {found.layer}", *heads, "cell", "hidden"]]
    for place, name in enumerate(names):
        cells = [
            " ".join(fixed(float(kind[gate][place])) for kind in (found.opening, found.closed, found.open))
            for gate in "ifgo"
        ]
        norms = [fixed(float(norm[place])) for norm in (found.cell_norm, found.hidden_norm)]
        rows.append([clip(name, _TOKEN), *cells, *norms])
    lives = sorted(found.half_life.tolist())
    spread = ", ".join(fixed(lives[round(q * (len(lives) - 1))], 1) for q in (0, 0.25, 0.5, 0.75, 1))
    return _table(rows, "lrrrrrr") + (
        f"\n\nhalf-life of a unit's memory in tokens: {spread}\n"
        "(least, quarter, middle, three quarters, most of the units)"
    )


def memory_table(split: MemorySplit, names: Sequence[str], of: str) -> str:
    """Return a row per token read: its share, and how much of its entry is left; then the sum."""
    most = max(map(abs, split.parts.tolist()), default=1.0) or 1.0
    rows = [["token", "gives", "", "left in the cell"]]
    for name, part, kept in zip(names, split.parts.tolist(), split.kept.tolist(), strict=True):
        rows.append([clip(name, _TOKEN), signed(part, 3), _bar(part, most), probability(kept)])
    return _table(rows, "lrlr") + "\n\n" + _sum(of, "tokens", split, start=split.start)


def units_table(found: UnitShares, of: str, most: int = 12) -> str:
    """Return the `most` units with the largest shares, for or against; then the sum over all units."""
    order = sorted(range(len(found.shares)), key=lambda unit: -abs(found.shares[unit]))[:most]
    top = max((abs(float(found.shares[unit])) for unit in order), default=1.0) or 1.0
    rows = [["unit", "state", "gives", ""]]
    for unit in order:
        share = float(found.shares[unit])
        rows.append([str(unit), signed(float(found.hidden[unit]), 3), signed(share, 3), _bar(share, top)])
    return _table(rows, "rrrl") + "\n\n" + _sum(of, f"{len(found.shares)} units", found)


def _sum(of: str, parts: str, found: MemorySplit | UnitShares, start: float | None = None) -> str:
    """Return the line that adds the shares up to the value, with what is missing."""
    given = found.value - found.bias - found.residual - (start or 0.0)
    before = "" if start is None else f"  {signed(start, 3)} before the first"
    sums = f"{signed(given, 3)} {parts}{before}  {signed(found.bias, 3)} bias"
    return f"{of}: {fixed(found.value, 3)} = {sums}   residual {found.residual:.1e}"


def attention_table(heads: Sequence[HeadAttention], names: Sequence[str], difference: float) -> str:
    """Return a row per head: where it looks most from the last token, how widely, and how far back.

    Args:
        heads: the heads of a layer.
        names: the tokens read.
        difference: largest difference between the logits of the reading that shows the weights and the
            model's own.
    """
    rows = [["layer", "head", "looks most at", "weight", "entropy", "back", "then at"]]
    for found in heads:
        order = sorted(range(len(names)), key=lambda place: -found.weights[place])
        others = " · ".join(
            f"{clip(names[p], 12)} {probability(float(found.weights[p]))}" for p in order[1:4]
        )
        weight = probability(float(found.weights[found.strongest]))
        first = clip(names[found.strongest], _TOKEN)
        place = [str(found.layer), str(found.head), first, weight]
        rows.append([*place, fixed(found.entropy), fixed(found.back, 1), others])
    shown = "weights of a second, eager reading, whose logits lie at most"
    return f"{_table(rows, 'rrlrrrl')}\n\n{shown} {difference:.1e} from the model's own"


def lens_table(layers: Sequence[LayerLens], name: Callable[[int], str], difference: float) -> str:
    """Return a row per layer: norm, entropy, rank and ln p of the final token, and its own best tokens.

    Args:
        layers: the layers, the embedding first.
        name: writes a token, given its id.
        difference: largest difference between the last layer's logits and the model's own.
    """
    rows = [["layer", "norm", "entropy", "final rank", "ln p", "its own best"]]
    for found in layers:
        best = " · ".join(
            f"{clip(name(i), 12)} {probability(p)}" for i, p in zip(found.best, found.p, strict=True)
        )
        facts = [fixed(found.norm), fixed(found.entropy), str(found.rank), fixed(found.logp)]
        rows.append([str(found.layer), *facts, best])
    shown = "logits of the last layer lie at most"
    return f"{_table(rows, 'rrrrrl')}\n\n{shown} {difference:.1e} from the model's own"


def neighbours_table(found: Sequence[Neighbour], name: Callable[[int], str]) -> str:
    """Return a row per neighbour, the nearest first; `name` writes a token, given its id."""
    rows = [["token", "id", "cosine", "distance"]]
    rows += [[clip(name(n.id), 32), str(n.id), signed(n.cosine, 3), fixed(n.distance, 3)] for n in found]
    return _table(rows, "lrrr")


def _bar(value: float, most: float) -> str:
    """Return a bar that grows from a middle line, to the left for a negative value."""
    size = round(_BAR / 2 * min(abs(value) / most, 1))
    left, right = ("█" * size, "") if value < 0 else ("", "█" * size)
    return f"{left:>{_BAR // 2}}│{right}"


def _table(rows: Sequence[Sequence[str]], sides: str) -> str:
    return "\n".join(clip(line, WIDTH) for line in align(rows, sides, 2))
