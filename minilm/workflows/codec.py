"""Load a tokenizer, and turn its errors into ours: the tokenizer knows nothing of minilm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from minilm.errors import MinilmError
from minilm.shadows import check_tokenizer

if TYPE_CHECKING:
    from tokenizer import Tokenizer

__all__ = ["load_codec", "tokenizer_errors"]


def load_codec(path: str | Path) -> Tokenizer:
    """Load a tokenizer's .model file. Raises MinilmError for a file that is missing, foreign or damaged."""
    check_tokenizer()
    import tokenizer

    with tokenizer_errors():
        return tokenizer.load(path)


@contextmanager
def tokenizer_errors() -> Iterator[None]:
    """Turn a TokenizerError into a MinilmError, so that a user of minilm meets one class of errors."""
    try:
        yield
    except MinilmError:
        raise
    except ValueError as error:
        # Not imported: `minilm --help` is quick, and an error of a tokenizer comes from one that is loaded.
        kind = getattr(sys.modules.get("tokenizer"), "TokenizerError", None)
        if kind is None or not isinstance(error, kind):
            raise
        raise MinilmError(str(error)) from error
