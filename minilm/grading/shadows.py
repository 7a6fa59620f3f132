"""A student's own tokenizer.py or minilm.py, which Python would import instead of ours, named in one line.

Only looks at file names; imports nothing of what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["shadows"]

OURS = Path(__file__).resolve().parents[2]  # the folder that holds the packages minilm and tokenizer


def shadows(folders: Iterable[Path]) -> list[str]:
    """One line for each file or package in these folders that hides minilm or tokenizer, and what to do."""
    found = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        for name in ("minilm", "tokenizer"):
            for path in (folder / f"{name}.py", folder / name / "__init__.py"):
                if path.is_file() and folder != OURS:
                    found.append(_message(path if path.stem == name else path.parent, name))
    return found


def _message(path: Path, name: str) -> str:
    return f"{path} hides the package {name} that the lesson needs; rename it, for example to my_{path.name}"
