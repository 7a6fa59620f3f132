"""The one exception of the tokenizer package."""

__all__ = ["TokenizerError"]


class TokenizerError(ValueError):
    """A mistake that the user can fix; one line says what is wrong, what was got and what to do."""
