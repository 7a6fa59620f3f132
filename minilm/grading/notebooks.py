"""Make a notebook from each lesson, byte for byte the same on every machine: no outputs, no random ids.

A lesson is a script in percent format: a line `# %%` begins a cell of code, `# %% [markdown]` a cell of text,
whose lines are comments.
"""

from __future__ import annotations

from pathlib import Path

import nbformat

from minilm.errors import MinilmError
from minilm.grading.course import find_course_folder

__all__ = ["build_notebooks", "make_notebook", "split_cells"]

MARKDOWN = "# %% [markdown]"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def split_cells(script: str) -> list[tuple[str, str]]:
    """Return the cells of a script as ("markdown" or "code", source); text before the first is left out.

    >>> split_cells("# %% [markdown]\\n# # Title\\n#\\n# Text.\\n\\n# %%\\n1 + 1\\n")
    [('markdown', '# Title\\n\\nText.'), ('code', '1 + 1')]
    """
    cells: list[tuple[str, list[str]]] = []
    for line in script.splitlines():
        if line.startswith("# %%"):
            cells.append(("markdown" if line == MARKDOWN else "code", []))
        elif cells:
            kind, lines = cells[-1]
            lines.append(line.removeprefix("#").removeprefix(" ") if kind == "markdown" else line)
    return [(kind, "\n".join(lines).strip("\n")) for kind, lines in cells]


def make_notebook(script: str, name: str) -> str:
    """Return the text of the .ipynb file of a lesson.

    Args:
        script: The text of lesson.py.
        name: The name of the lesson; the ids of the cells are this name and a number.
    """
    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    for number, (kind, source) in enumerate(split_cells(script)):
        make_cell = nbformat.v4.new_markdown_cell if kind == "markdown" else nbformat.v4.new_code_cell
        notebook.cells.append(make_cell(source, id=f"{name}-{number:02}".replace("_", "-")))
    nbformat.validate(notebook)
    return nbformat.writes(notebook) + "\n"


def build_notebooks(out: Path, overwrite: bool = False) -> list[Path]:
    """Write the notebook of every lesson into a folder.

    Args:
        out: The folder; it is made where it is missing.
        overwrite: Replace files that have another content.

    Returns:
        The paths of the notebooks.

    Raises:
        MinilmError: A file of that name has another content, and `overwrite` is False.
    """
    notebooks = {}
    for script in sorted(find_course_folder().glob("*/lesson.py")):
        name = script.parent.name
        notebooks[out / f"{name}.ipynb"] = make_notebook(script.read_text(encoding="utf-8"), name)
    for path, text in notebooks.items():
        if path.exists() and not overwrite and path.read_text(encoding="utf-8") != text:
            raise MinilmError(f"{path} exists and differs; name another folder, or give --overwrite")
    out.mkdir(parents=True, exist_ok=True)
    for path, text in notebooks.items():
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(notebooks)
