"""The bug museum: one recorded broken training per check, small, openable, and made anew by one command.

`python -m minilm.doctor.museum` writes the records again, from the seeded mistakes of torch_bugs.py and, for
what cannot go wrong in PyTorch, tensorflow_bugs.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from minilm.doctor.checks.examine import CHECKS
from minilm.doctor.records import Record, load, save
from minilm.errors import MinilmError

__all__ = ["EXHIBITS", "Exhibit", "exhibits", "make", "opened"]

EXHIBITS = Path(__file__).parent / "exhibits"
STEPS = 14
FRAMEWORKS = ("torch", "tensorflow")


@dataclass(frozen=True)
class Exhibit:
    """A recorded broken training: the check that finds it, the rule that it breaks, and the framework."""

    name: str
    rule: str
    framework: str

    @property
    def path(self) -> Path:
        """Its record, JSON lines."""
        return EXHIBITS / f"{self.name}.jsonl"


# check -> the class of the mistake that stands for it, where there is more than one, and its framework
SHOWN = {
    "repeated_id_steps": ("tensorflow", "SlicesNotSummed"),
    "dead_tokens": ("torch", "DeadToken"),
    "wrong_dimension": ("torch", "SoftmaxOverTime"),
}


def exhibits() -> list[Exhibit]:
    """Every exhibit, in the order of the checks; no framework is imported."""
    found = []
    for check, _ in CHECKS:
        framework = SHOWN.get(check.__name__, ("torch", ""))[0]
        found.append(Exhibit(check.__name__, (check.__doc__ or "").strip(), framework))
    return found


def opened(name: str) -> Iterator[Record]:
    """The records of an exhibit. Raises MinilmError for a name that there is not."""
    known = {exhibit.name: exhibit for exhibit in exhibits()}
    if name not in known:
        raise MinilmError(f"The museum has no {name!r}; minilm doctor museum lists what it has")
    return load(known[name].path)


def make(exhibit: Exhibit, folder: Path = EXHIBITS) -> Path:
    """Run the broken loop of an exhibit and record it; needs its framework."""
    if exhibit.framework == "torch":
        bugs, attach = (
            import_module("minilm.doctor.torch_bugs"),
            import_module("minilm.doctor.torch.attach").attach,
        )
    else:
        bugs = import_module("minilm.doctor.tensorflow_bugs")
        attach = import_module("minilm.doctor.tensorflow.attach").attach
    wanted = SHOWN.get(exhibit.name, ("", ""))[1]
    mistake: Any = next(
        bug for bug, check in bugs.BUGS.items() if check == exhibit.name and wanted in bug.__name__
    )
    loop = mistake()
    with attach(loop.net, loop.optimizer) as watching:
        for _ in loop.run(STEPS):
            pass
    folder.mkdir(exist_ok=True)
    path = folder / exhibit.path.name
    save(watching.records, path)
    return path


if __name__ == "__main__":
    for one in exhibits():
        make(one)
