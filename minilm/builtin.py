"""The model that ships with minilm: an LSTM of 128 units that tells Storyland's stories.

Its folder is rebuilt by `make storyland`. Loading it needs NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minilm import backends
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.shadows import check_tokenizer

if TYPE_CHECKING:
    from tokenizer import Tokenizer

__all__ = ["PROMPT", "RECIPE", "Recipe", "codec", "folder", "model"]

PROMPT = "Once upon a time"
"""The prompt where the user gives none: most of its stories begin so."""


@dataclass(frozen=True)
class Recipe:
    """Sizes and settings of a training run.

    Attributes:
        vocab_size: V.
        embedding: E.
        hidden: H.
        dropout: the probability of zeroing an output of the LSTM.
        batch: rows of a batch.
        length: the most tokens of a row.
        rate: the highest learning rate.
        beta2: Adam's.
        steps: updates.
    """

    vocab_size: int
    embedding: int
    hidden: int
    dropout: float
    batch: int
    length: int
    rate: float
    beta2: float
    steps: int


RECIPE = Recipe(800, 48, 128, dropout=0.0, batch=8, length=400, rate=0.02, beta2=0.98, steps=1200)
"""The recipe that trains a Storyland model in half a minute; a row is one whole story."""


def folder() -> Path:
    """Return the model's folder: config, weights, tokenizer and digests."""
    place = Path(__file__).parent / "storyland"
    if not place.is_dir():
        raise MinilmError(
            f"The built-in model is missing at {place}; reinstall minilm, or run: make storyland"
        )
    return place


def codec() -> Tokenizer:
    """Return its tokenizer."""
    check_tokenizer()
    import tokenizer

    return tokenizer.load(folder() / "tokenizer.model")


def model(backend: str | None = None) -> Trainable:
    """Return the model, in NumPy or in another backend."""
    return backends.load(folder(), backend)
