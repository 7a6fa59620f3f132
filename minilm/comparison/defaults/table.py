"""The table of defaults: what PyTorch and Keras do differently, the effect on a comparison, the neutral form.

The table itself is table.md. A default that cannot be switched on in one process says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from minilm.errors import MinilmError

__all__ = ["DEFAULTS", "INJECTABLE", "Default", "check_names"]


@dataclass(frozen=True, slots=True)
class Default:
    """One difference between the frameworks' defaults.

    Attributes:
        number: its place in the table, from 1.
        name: the word for it in commands.
        topic: the part of the model or of its training.
        torch: what PyTorch does.
        keras: what Keras does.
        effect: what a comparison shows where this is the cause.
        neutral: how both frameworks can be made to do the same.
        why_not: why it is documented only; "" where it can be switched on.
    """

    number: int
    name: str
    topic: str
    torch: str
    keras: str
    effect: str
    neutral: str
    why_not: str = ""


def _read_table() -> dict[str, Default]:
    """Return the rows of table.md by name; the first two lines of the table are its heading."""
    text = files("minilm.comparison.defaults").joinpath("table.md").read_text("utf-8")
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")][2:]
    defaults = (Default(number, *(cell.strip() for cell in row)) for number, row in enumerate(rows, 1))
    return {default.name: default for default in defaults}


DEFAULTS: dict[str, Default] = _read_table()

INJECTABLE: tuple[str, ...] = tuple(name for name, default in DEFAULTS.items() if not default.why_not)


def check_names(names: Iterable[str]) -> frozenset[str]:
    """Return the names as a set.

    Args:
        names: names of defaults that should be switched on.

    Raises:
        MinilmError: for a name that is not in the table, or that cannot be switched on.

    >>> sorted(check_names(["two_biases"]))
    ['two_biases']
    """
    found = frozenset(names)
    for name in sorted(found):
        if name not in DEFAULTS:
            raise MinilmError(f"There is no default {name!r}; minilm compare --defaults lists them")
        if DEFAULTS[name].why_not:
            raise MinilmError(f"Default {name} cannot be switched on: {DEFAULTS[name].why_not}")
    return found
