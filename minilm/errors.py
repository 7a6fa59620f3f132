"""The one exception of minilm, and how another library's error becomes one line of it.

Every mistake of a user raises MinilmError; the command line prints its text and exits with code 2.
"""

__all__ = ["MinilmError", "first_line"]


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
