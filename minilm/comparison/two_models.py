"""Any two language models that read the same ids, held against each other reading by reading.

Wrapped nets, folders and Hugging Face models alike: the logits at least, gates, cell and hidden state where
both show them. Where the reference is an LSTM of one layer, known mistakes are tried (hypotheses.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.comparison import student_case as case
from minilm.comparison.hypotheses import explain
from minilm.comparison.lstm_variants import LETTERS
from minilm.comparison.student import QUANTITIES, StudentVerdict, first_difference
from minilm.errors import MinilmError
from minilm.protocols import LanguageModel
from minilm.records import Array

__all__ = ["compare_models"]

INNER = ("gates.0", "cell.0", "hidden.0")


def compare_models(
    reference: LanguageModel, other: LanguageModel, ids: Sequence[int] | Array, tolerance: float = 1e-5
) -> StudentVerdict:
    """The first id at which two models differ, and in what; ids (T,), tolerance of max(1, largest logit).

    Raises MinilmError where their vocabularies differ in size, or either cannot read the ids.
    """
    if reference.vocab_size != other.vocab_size:
        sizes = f"{reference.vocab_size} and {other.vocab_size}"
        raise MinilmError(f"Models of one vocabulary can be compared, got sizes {sizes}")
    read = np.asarray(ids)
    ours, theirs = _answer(reference, read), _answer(other, read)
    shared = [name for name in QUANTITIES if name in ours and name in theirs]
    bound = tolerance * max(1.0, float(np.abs(ours["logits"]).max()))
    first = first_difference(theirs, ours, bound)
    compared = tuple(QUANTITIES[name] for name in shared)
    guess = None
    arrays: Any = getattr(reference, "weights", dict)()
    if first is not None and "lstm.0.kernel" in arrays and "lstm.1.kernel" not in arrays:
        logits = {"logits": theirs["logits"]}
        guess = explain(logits, lambda variant: case.said(arrays, read, variant), bound)
        if guess is not None:
            first = first_difference(case.said(arrays, read, guess.variant), ours, bound) or first
    return StudentVerdict(compared, len(read), bound, first, guess, reference.name)


def _answer(model: LanguageModel, ids: Array) -> dict[str, Array]:
    """Logits (T, V), and of the first layer i, f, g, o, cell and hidden (T, H) where the model shows them."""
    try:
        reading = model.read(ids, rows="all", inner=INNER)
    except MinilmError:  # a wrapped net shows nothing inside
        return {"logits": np.asarray(model.read(ids, rows="all").logits, np.float64)}
    gates, cell, hidden = (np.asarray(reading.inner[name], np.float64) for name in INNER)
    parts = dict(zip(LETTERS, np.split(gates, 4, axis=1), strict=True))
    return parts | {"cell": cell, "hidden": hidden, "logits": np.asarray(reading.logits, np.float64)}
