"""Percent scripts become notebooks, byte for byte the same on every machine: no outputs, no random ids.

A line `# %%` begins a cell of code, `# %% [markdown]` one of text, whose lines are comments.
"""

from __future__ import annotations

from pathlib import Path

import nbformat

from minilm.errors import MinilmError
from minilm.grading.course import course_folder

__all__ = ["build", "cells", "notebook"]

MARKDOWN = "# %% [markdown]"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def cells(script: str) -> list[tuple[str, str]]:
    """The cells of a percent script: ("markdown" or "code", source), what stands before the first left out.

    >>> cells("# %% [markdown]\\n# # Title\\n#\\n# Text.\\n\\n# %%\\n1 + 1\\n")
    [('markdown', '# Title\\n\\nText.'), ('code', '1 + 1')]
    """
    found: list[tuple[str, list[str]]] = []
    for line in script.splitlines():
        if line.startswith("# %%"):
            found.append(("markdown" if line == MARKDOWN else "code", []))
        elif found:
            kind, lines = found[-1]
            lines.append(line.removeprefix("#").removeprefix(" ") if kind == "markdown" else line)
    return [(kind, "\n".join(lines).strip("\n")) for kind, lines in found]


def notebook(script: str, name: str) -> str:
    """The text of the .ipynb file of a percent script; cells are called after the name and their number."""
    made = nbformat.v4.new_notebook(metadata=METADATA)
    for number, (kind, source) in enumerate(cells(script)):
        make = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        made.cells.append(make(source, id=f"{name}-{number:02}".replace("_", "-")))
    nbformat.validate(made)
    return nbformat.writes(made) + "\n"


def build(out: Path, overwrite: bool = False) -> list[Path]:
    """Write the notebook of every lesson into a folder; returns their paths.

    Raises MinilmError where a file there has another content, unless overwrite is given.
    """
    made = {}
    for script in sorted(course_folder().glob("*/lesson.py")):
        name = script.parent.name
        made[out / f"{name}.ipynb"] = notebook(script.read_text(encoding="utf-8"), name)
    for path, text in made.items():
        if path.exists() and not overwrite and path.read_text(encoding="utf-8") != text:
            raise MinilmError(f"{path} exists and differs; name another folder, or give --overwrite")
    out.mkdir(parents=True, exist_ok=True)
    for path, text in made.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(made)
