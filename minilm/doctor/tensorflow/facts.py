"""What the doctor asks of a Keras model: its embedding, its vocabulary, its gates, what gets no update.

Nothing is patched here; that is in tensorflow_attach.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilm.backends.tensorflow.net import keras
from minilm.doctor.batch import saturation
from minilm.records import Array

__all__ = ["Facts", "is_state", "name_of", "plain"]


class Facts:
    """Answers about a model, looked up anew each time: layers are built as they are first called."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def parts(self) -> list[Any]:
        """The model and every layer in it."""
        return list(self.model._flatten_layers())

    @property
    def table(self) -> Any:
        """The first embedding, or None."""
        return next((part for part in self.parts if isinstance(part, keras.layers.Embedding)), None)

    @property
    def table_name(self) -> str | None:
        """The name of its variable."""
        return None if self.table is None else name_of(self.table.embeddings)

    @property
    def place_of_table(self) -> int | None:
        """Where it stands among the trainable variables."""
        weights = [id(plain(one)) for one in self.model.trainable_variables]
        wanted = None if self.table is None else id(plain(self.table.embeddings))
        return weights.index(wanted) if wanted in weights else None

    @property
    def names(self) -> list[str]:
        """The names of the trainable variables."""
        return [name_of(one) for one in self.model.trainable_variables]

    @property
    def modal(self) -> bool:
        """Whether training=True and training=False compute different things."""
        shares = [getattr(part, name, 0) for part in self.parts for name in ("rate", "dropout")]
        dropout = any(share > 0 for share in shares if isinstance(share, float))
        return dropout or any(isinstance(part, keras.layers.BatchNormalization) for part in self.parts)

    @property
    def absent(self) -> dict[str, str]:
        """Weights that can get no update, and why."""
        trained = {id(plain(one)) for one in self.model.trainable_variables}
        others = [one for one in self.model.weights if id(plain(one)) not in trained and not is_state(one)]
        return {name_of(one): "its trainable is False" for one in others}

    def vocab_size(self, outputs: Any) -> int:
        """V: the rows of the embedding, else the last axis of the outputs."""
        return outputs.shape[-1] if self.table is None else self.table.input_dim

    def gates(self, ids: Array) -> dict[str, float]:
        """Saturation of the first LSTM's gates on ids (B, T), where it reads the embedding."""
        lstm = next((part for part in self.parts if isinstance(part, keras.layers.LSTM)), None)
        if lstm is None or not lstm.built or self.table is None or not lstm.use_bias:
            return {}
        held = {"kernel": lstm.cell.kernel, "recurrent": lstm.cell.recurrent_kernel, "bias": lstm.cell.bias}
        found = {name: np.asarray(one) for name, one in held.items()}
        found["embedding"] = np.asarray(self.table.embeddings)
        return saturation(ids, found) if len(found["kernel"]) == found["embedding"].shape[1] else {}


def plain(variable: Any) -> Any:
    """TensorFlow's own variable of a Keras one."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def name_of(variable: Any) -> str:
    """Keras's path of a variable, or TensorFlow's name."""
    return getattr(variable, "path", variable.name)


def is_state(variable: Any) -> bool:
    """Whether a variable is no weight: a seed, a kept state, a moving mean."""
    words = ("seed", "state", "moving")
    return any(word in variable.path for word in words) or "int" in str(variable.dtype)
