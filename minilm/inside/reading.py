"""One reading of a text that carries the inner arrays of every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilm.errors import MinilmError
from minilm.protocols import LanguageModel
from minilm.records import Array, Reading

__all__ = ["find_inner", "find_last_layer", "find_layers", "read_inner"]


def read_inner(model: LanguageModel, ids: Sequence[int], *kinds: str) -> Reading:
    """Read ids from the start of a text, with the logits of every token and some inner arrays.

    Args:
        model: the model.
        ids: (T,) ids.
        kinds: kinds of inner arrays, such as "gates" and "cell". The reading carries them for every layer.

    Raises:
        MinilmError: the model does not show one of the kinds.
    """
    names = [name for kind in kinds for name in find_layers(model, kind)]
    return model.read(list(ids), rows="all", inner=names)


def find_layers(model: LanguageModel, kind: str) -> list[str]:
    """Return the names of one kind of inner array in every layer, such as ["gates.0", "gates.1"].

    Raises:
        MinilmError: the model does not show this kind.
    """
    known = _inner_names(model)
    names = [name for name in known if name.partition(".")[0] == kind]
    if not names:
        kinds = ", ".join(dict.fromkeys(name.partition(".")[0] for name in known)) or "nothing"
        raise MinilmError(f"{model.name} shows no {kind}; it shows {kinds}")
    return names


def find_last_layer(model: LanguageModel, kind: str, reading: Reading) -> int | None:
    """Return the number of the layer below the head; None if the reading lacks this array of it."""
    names = [name for name in _inner_names(model) if name.partition(".")[0] == kind]
    return int(names[-1].partition(".")[2]) if names and names[-1] in reading.inner else None


def find_inner(reading: Reading, *names: str) -> list[Array]:
    """Return the inner arrays with these names.

    Raises:
        MinilmError: the reading does not carry one of them.
    """
    if any(name not in reading.inner for name in names):
        carried = ", ".join(sorted(reading.inner)) or "nothing"
        raise MinilmError(
            f"The reading must carry {', '.join(names)}, but it carries {carried}; ask for them, or for "
            "another layer"
        )
    return [reading.inner[name] for name in names]


def _inner_names(model: LanguageModel) -> list[str]:
    """Return the names of all inner arrays, layer by layer."""
    # a transformer lists its own; an LSTM of ours shows three arrays in each of its layers
    known: Any = getattr(model, "inner_names", None)
    if known is None:
        layers = getattr(getattr(model, "config", None), "layers", 0)
        known = [f"{name}.{n}" for n in range(layers) for name in ("hidden", "cell", "gates")]
    return known
