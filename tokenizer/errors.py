"""The one exception of the tokenizer: what is wrong, what was got, what to do, in one line."""

__all__ = ["TokenizerError"]


class TokenizerError(ValueError):
    """A mistake that the user can mend; its text is one line."""
