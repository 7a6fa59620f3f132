"""The museum: for every check of the doctor one recorded training that it finds a bug in.

The records are made by `python lessons/broken_trainings/record.py`; opening them needs no framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minilm.doctor.checks import CHECKS
from minilm.doctor.records import Record, load_run
from minilm.errors import MinilmError

__all__ = ["EXHIBITS", "Exhibit", "list_exhibits", "open_exhibit"]

EXHIBITS = Path(__file__).parent / "exhibits"

# Bugs that PyTorch cannot have: only TensorFlow hands an optimizer a gradient in slices.
IN_TENSORFLOW = ("repeated_id_steps",)


@dataclass(frozen=True)
class Exhibit:
    """A recorded broken training.

    Attributes:
        name: The check that finds its bug.
        rule: What the bug breaks, in one sentence.
        framework: The framework that it was recorded in, "torch" or "tensorflow".
    """

    name: str
    rule: str
    framework: str

    @property
    def path(self) -> Path:
        """The file of its record, JSON lines."""
        return EXHIBITS / f"{self.name}.jsonl"


def list_exhibits() -> list[Exhibit]:
    """Return every exhibit, in the order of the checks."""
    exhibits = []
    for check, _ in CHECKS:
        name, rule = check.__name__, (check.__doc__ or "").partition("\n")[0]
        exhibits.append(Exhibit(name, rule, "tensorflow" if name in IN_TENSORFLOW else "torch"))
    return exhibits


def open_exhibit(name: str) -> Iterator[Record]:
    """Return the records of an exhibit, in the order of the steps.

    Raises:
        MinilmError: The museum has no exhibit of that name.
    """
    known = {exhibit.name: exhibit for exhibit in list_exhibits()}
    if name not in known:
        raise MinilmError(f"The museum has no {name!r}; minilm doctor museum lists what it has")
    return load_run(known[name].path)
