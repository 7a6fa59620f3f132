"""minilm stages: list the stages, how each is written and what it does, the presets and the dialects.

The library has all of it: `minilm.sampling.parsing` (STAGES, EXAMPLES, describe_usage) and `dialects`.
"""

from __future__ import annotations

import inspect
import sys

import click

from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.layout import WIDTH, count_cells, pad, wrap_line
from minilm.sampling import Stage
from minilm.sampling.dialects import DIALECTS, PRESETS
from minilm.sampling.parsing import EXAMPLES, STAGES, describe_usage

__all__ = ["command"]


@click.command(
    epilog="Example: minilm stages TopP\n\n\b\n"
    "In Python: from minilm.sampling.parsing import STAGES; STAGES['TopP'].__doc__"
)
@click.argument("names", nargs=-1, metavar="[NAME ...]")
def command(names: tuple[str, ...]) -> None:
    """List the sampling stages for --stages, the presets and the dialects; with NAME, all about that one."""
    text.write("\n\n".join(map(_describe, names)) if names else _list(), sys.stdout)


def _list() -> str:
    does = {example: _about(STAGES[example.partition("(")[0]]).partition("\n\n")[0] for example in EXAMPLES}
    orders = {name: " ".join(stage.__name__ for stage in order) for name, order in DIALECTS.items()}
    return "\n\n".join(
        [
            _format("--stages, in any order, such as:", does),
            _format("--preset, a name for:", PRESETS),
            _format("--dialect, which puts them in the order:", orders),
            "minilm stages NAME says all about one.",
        ]
    )


def _format(title: str, rows: dict[str, str]) -> str:
    width = max(map(count_cells, rows)) + 4
    lines = [title]
    for name, about in rows.items():
        first, *others = wrap_line(" ".join(about.split()), WIDTH - width)
        lines += [pad(f"  {name}", width) + first, *(" " * width + other.strip() for other in others)]
    return "\n".join(lines)


def _describe(name: str) -> str:
    if name not in STAGES:
        raise MinilmError(f"No stage is called {name!r}; minilm stages lists them")
    return f"{describe_usage(STAGES[name])}\n\n{_about(STAGES[name])}"


def _about(stage: type[Stage]) -> str:
    return inspect.cleandoc(stage.__doc__ or "")
