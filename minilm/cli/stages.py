"""minilm stages: every sampling stage, how it is written and what it does; the presets and the dialects.

What a stage does is read off the stage itself; only an example of each is written here.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import MISSING, fields

import click

from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, count_cells, pad, wrap
from minilm.sampling import Stage
from minilm.sampling.dialects import DIALECTS, PRESETS
from minilm.sampling.parsing import STAGES

__all__ = ["EXAMPLES", "command", "usage"]

EXAMPLES = (
    "Temperature(0.8)",
    "TopK(40)",
    "TopP(0.9)",
    "MinP(0.05)",
    "Greedy()",
    "RepetitionPenalty(1.1)",
    "Bias({' dog': 2, ' cat': -inf})",
    "Typical(0.95)",
    "TopH(0.4)",
    "Epsilon(0.001)",
    "Eta(0.001)",
    "Presence(0.5)",
    "Frequency(0.5)",
    "NoRepeatNgram(3)",
    "BadWords(['dog', 'cat'])",
    "SequenceBias({' a dog': 2})",
    "MinLength(20)",
    "MinNewTokens(10)",
    "LengthDecay(20, 1.1)",
    "Suppress([5, 6])",
    "SuppressAtBegin([5, 6])",
    "ForcedBos(2)",
    "ForcedEos(3)",
    "Choice(['yes', 'no'])",
    "Regex('[a-z]+')",
    'Grammar(\'start: "a" "b"\')',
    "JsonSchema({'type': 'integer'})",
)
"""A stage of every kind as it is written, the common ones first."""


@click.command(
    epilog="Example: minilm stages TopP\n\n\b\n"
    "In Python: from minilm.sampling.parsing import STAGES; STAGES['TopP'].__doc__"
)
@click.argument("names", nargs=-1, metavar="[NAME ...]")
def command(names: tuple[str, ...]) -> None:
    """List the sampling stages for --stages, the presets and the dialects; with NAME, all about that one."""
    text.write("\n\n".join(map(_whole, names)) if names else _table(), sys.stdout)


def usage(stage: type[Stage]) -> str:
    """How a stage is written; what may be left out has its default.

    >>> usage(STAGES["RepetitionPenalty"])
    'RepetitionPenalty(theta, last=None)'
    """
    shown = sorted((f for f in fields(stage) if f.repr), key=lambda f: bool(f.kw_only))
    said = [f.name if f.default is MISSING else f"{f.name}={f.default!r}" for f in shown]
    return f"{stage.__name__}({', '.join(said)})"


def _table() -> str:
    does = {example: _about(STAGES[example.partition("(")[0]]).partition("\n\n")[0] for example in EXAMPLES}
    orders = {name: " ".join(stage.__name__ for stage in order) for name, order in DIALECTS.items()}
    return "\n\n".join(
        [
            _part("--stages, in any order, such as:", does),
            _part("--preset, which stands for:", PRESETS),
            _part("--dialect, which puts them in the order:", orders),
            "minilm stages NAME says all about one.",
        ]
    )


def _part(title: str, rows: dict[str, str]) -> str:
    width = max(map(count_cells, rows)) + 4
    lines = [title]
    for name, about in rows.items():
        first, *others = wrap(" ".join(about.split()), WIDTH - width)
        lines += [pad(f"  {name}", width) + first, *(" " * width + other.strip() for other in others)]
    return "\n".join(lines)


def _whole(name: str) -> str:
    if name not in STAGES:
        raise MinilmError(f"No stage is called {name!r}; minilm stages lists them")
    return f"{usage(STAGES[name])}\n\n{_about(STAGES[name])}"


def _about(stage: type[Stage]) -> str:
    return inspect.cleandoc(stage.__doc__ or "")
