"""The one exception of minilm: what is wrong, what was got, what to do, in one line.

Everything a user can do wrong raises it; the command line prints it and exits with code 2.
"""

__all__ = ["MinilmError"]


class MinilmError(ValueError):
    """A mistake that the user can mend; its text is one line."""
