"""The tokens whose embeddings are nearest to one token's embedding, by cosine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilm.errors import MinilmError
from minilm.protocols import Inspectable

__all__ = ["Neighbour", "find_neighbours"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A token near another one.

    Attributes:
        id: the token's id.
        cosine: cosine of the two embeddings, -1 to 1.
        distance: Euclidean distance of the two embeddings.
    """

    id: int
    cosine: float
    distance: float


def find_neighbours(model: Inspectable, token_id: int, count: int = 10) -> tuple[Neighbour, ...]:
    """Return the nearest tokens by cosine, the nearest first, without the token itself.

    Args:
        model: the model.
        token_id: the token whose neighbours are asked for.
        count: how many to return, at least 1. Of equal cosines the lower id comes first.

    Raises:
        MinilmError: the id is outside the vocabulary, or count is below 1.
    """
    if not 0 <= token_id < model.vocab_size:
        raise MinilmError(f"Id {token_id} is not in the vocabulary of {model.vocab_size}")
    if count < 1:
        raise MinilmError(f"The number of neighbours to show must be 1 or more, got {count}")
    table = model.embedding_table().astype(np.float64)  # (V, E)
    norms = np.linalg.norm(table, axis=1)  # (V,)
    one = table[token_id]  # (E,)
    # cosine(a, b) = a · b / (|a| |b|), and 0 where a vector is all zeros
    lengths = norms * norms[token_id]
    cosines = np.divide(table @ one, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    order = [i for i in np.argsort(-cosines, kind="stable").tolist() if i != token_id][:count]
    return tuple(Neighbour(i, float(cosines[i]), float(np.linalg.norm(table[i] - one))) for i in order)
