"""The one exception of minilm, and its one line for a missing package and for another library's error.

Every mistake of a user raises MinilmError; the command line prints its text and exits with code 2.
"""

from importlib.util import find_spec

__all__ = ["MinilmError", "first_line", "install_advice", "missing_package", "require_packages"]


class MinilmError(ValueError):
    """A mistake that the user can fix; its text is one line: what is wrong, what was got, what to do."""


def first_line(error: BaseException | str, limit: int = 300, *, join: bool = False) -> str:
    r"""Return another library's error in one line that a terminal can show.

    >>> first_line(ValueError("\n  shapes do not match:\n  (2, 3) and (4,)"))
    'shapes do not match:'
    >>> first_line(ValueError("\n  shapes do not match:\n  (2, 3) and (4,)"), join=True)
    'shapes do not match: (2, 3) and (4,)'
    >>> first_line(KeyError())
    'KeyError'

    Args:
        error: the error, or its text.
        limit: the most characters.
        join: put all lines into one, for a library whose first line says little, as Keras.

    Returns:
        The first line that is not blank; the name of the error's class where there is none.
    """
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    if not lines and isinstance(error, BaseException):
        lines = [type(error).__name__]
    text = " ".join(lines if join else lines[:1])
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)[:limit]


def install_advice(extra: str, pip: str = "pip") -> str:
    """Return how an extra of minilm is installed. It is installed from its folder: no index has it.

    >>> print(install_advice("torch"))
    in the project's folder, run: pip install -e ".[torch]"

    Args:
        extra: one of the optional dependencies in pyproject.toml; "" for what minilm always needs.
        pip: how pip is called.
    """
    wanted = f'".[{extra}]"' if extra else "."
    return f"in the project's folder, run: {pip} install -e {wanted}"


def missing_package(needed_by: str, package: str, extra: str) -> str:
    """Return the line that says which package is missing, and how its extra is installed.

    >>> print(missing_package("Backend torch", "torch", "torch"))
    Backend torch needs torch, which is not installed; in the project's folder, run: pip install -e ".[torch]"
    """
    return f"{needed_by} needs {package}, which is not installed; {install_advice(extra)}"


def require_packages(needed_by: str, *packages: str, extra: str) -> None:
    """Raise MinilmError where one of the packages is not installed. None is imported."""
    for package in packages:
        if find_spec(package) is None:
            raise MinilmError(missing_package(needed_by, package, extra))
