"""One reading of a text with the inner arrays that a look needs, or a line that says what the model lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.errors import MinilmError
from minilm.protocols import LanguageModel
from minilm.records import Reading

__all__ = ["last_layer", "layer_names", "look"]


def layer_names(model: LanguageModel, kind: str) -> list[str]:
    """The names of an inner array in every layer, such as gates.0, gates.1. MinilmError where it has none."""
    known = _known(model)
    names = [name for name in known if name.partition(".")[0] == kind]
    if not names:
        kinds = ", ".join(dict.fromkeys(name.partition(".")[0] for name in known)) or "nothing"
        raise MinilmError(f"{model.name} shows no {kind}; it shows {kinds}")
    return names


def last_layer(model: LanguageModel, kind: str, reading: Reading) -> int | None:
    """The layer below the head, where the reading carries this array of it; None where it does not."""
    names = [name for name in _known(model) if name.partition(".")[0] == kind]
    return int(names[-1].partition(".")[2]) if names and names[-1] in reading.inner else None


def _known(model: LanguageModel) -> list[str]:
    """The names of every inner array, the layers in order."""
    known: Any = getattr(model, "inner_names", None)
    if known is None:
        layers = getattr(getattr(model, "config", None), "layers", 0)
        known = [f"{name}.{n}" for n in range(layers) for name in ("hidden", "cell", "gates")]
    return known


def look(model: LanguageModel, ids: Sequence[int], *kinds: str) -> Reading:
    """Read ids from the start, every row of logits (T, V), with these inner arrays of every layer."""
    names = [name for kind in kinds for name in layer_names(model, kind)]
    return model.read(list(ids), rows="all", inner=names)
