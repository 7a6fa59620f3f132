"""Name the file that Python imports instead of the package minilm or tokenizer.

Many a student writes a file tokenizer.py. Python looks in the folder of the script, and for `python -m` in
the current folder, before it looks where packages are installed. So it imports that file instead of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from minilm.errors import MinilmError, install_advice

__all__ = ["check_tokenizer", "find_shadows"]

OURS = Path(__file__).resolve().parents[1]  # the folder that holds the packages minilm and tokenizer


def find_shadows(folders: Iterable[Path]) -> list[str]:
    """Return one message for each file or package that Python would import instead of minilm or tokenizer.

    Args:
        folders: The folders to look at. Only names of files are read; nothing is imported.
    """
    messages = []
    for folder in dict.fromkeys(path.resolve() for path in folders):
        for name in ("minilm", "tokenizer"):
            for path in (folder / f"{name}.py", folder / name / "__init__.py"):
                if path.is_file() and folder != OURS:
                    messages.append(_shadow_message(path, name))
    return messages


def check_tokenizer() -> None:
    """Check that `import tokenizer` gives the package of minilm. A file that hides it is not run.

    Raises:
        MinilmError: A file or folder hides the package, or another project's package is installed over it.
    """
    ours, spec = OURS / "tokenizer" / "__init__.py", find_spec("tokenizer")
    if spec is not None and spec.origin is not None and (found := Path(spec.origin).resolve()) != ours:
        raise MinilmError(_shadow_message(found, "tokenizer"))
    # A package that was installed over ours has our folder, and the file is gone when it is uninstalled.
    if not ours.is_file() or "TokenizerError" not in ours.read_text(encoding="utf-8", errors="replace"):
        raise MinilmError(
            f"{ours.parent} is not minilm's tokenizer, because another package of this name was "
            f"installed or removed; run: pip uninstall tokenizer; then, {install_advice('')}"
        )


def _shadow_message(path: Path, name: str) -> str:
    shadow = path.parent if path.name == "__init__.py" else path
    return f"{shadow} hides the package {name}; rename it, for example to my_{shadow.name}"
