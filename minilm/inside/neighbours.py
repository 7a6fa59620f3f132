"""The tokens whose embeddings lie nearest to one token's, by cosine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import Inspectable

__all__ = ["Neighbour", "neighbours"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A token near another: its id, the cosine and the Euclidean distance of the two embeddings."""

    id: int
    cosine: float
    distance: float


def neighbours(model: Inspectable, token_id: int, count: int = 10) -> tuple[Neighbour, ...]:
    """The `count` nearest tokens by cosine, best first, without itself; the lower id first among equals.

    Raises MinilmError for an id outside the vocabulary and for a count below 1.
    """
    if not 0 <= token_id < model.vocab_size:
        raise MinilmError(f"Id {token_id} is not in the vocabulary of {model.vocab_size}")
    if count < 1:
        raise MinilmError(f"The number of neighbours to show must be 1 or more, got {count}")
    table = model.embedding_table().astype(np.float64)  # (V, E)
    norms = np.linalg.norm(table, axis=1)
    one = table[token_id]
    length = norms * norms[token_id]
    cosines = np.divide(table @ one, length, out=np.zeros_like(length), where=length > 0)
    order = [i for i in np.argsort(-cosines, kind="stable").tolist() if i != token_id][:count]
    return tuple(Neighbour(i, float(cosines[i]), float(np.linalg.norm(table[i] - one))) for i in order)
