"""The gates of a fused LSTM layer, which shows none: recomputed from its weights, checked by its output.

Every hidden state is known from the layer itself, so all steps' pre-activations are two matrix
products; only the cell runs through time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from minilm.backends.numpy.layer import Layer, activate_gates, split_gates
from minilm.errors import MinilmError
from minilm.records import Array, frozen_array

__all__ = ["layer_inside", "layers_inside"]

TOLERANCE = 1e-6  # of the hidden states, times the largest pre-activation where that is above 1


@np.errstate(over="ignore", invalid="ignore")  # of weights that have diverged
def layer_inside(layer: Layer, inputs: Array, outputs: Array, hidden: Array, cell: Array) -> dict[str, Array]:
    """hidden (T, H), cell (T, H) and gates (T, 4H) after activation, in the order i, f, g, o.

    inputs (T, I) and outputs (T, H) are the layer's own; hidden, cell (H,) its state before. Raises
    MinilmError where the recomputed output is not the layer's.
    """
    before = np.concatenate([hidden[None], outputs[:-1]])
    z = inputs @ layer.kernel + before @ layer.recurrent + layer.bias
    scale = max(1.0, float(np.abs(z).max()))
    gates = activate_gates(z)
    i, f, g, o = split_gates(gates)
    cells = i * g
    for t in range(len(cells)):
        cells[t] += f[t] * (cells[t - 1] if t else cell)
    apart = float(np.abs(o * np.tanh(cells) - outputs).max())
    if not math.isfinite(apart):
        raise MinilmError(
            "The hidden states are not finite: the training has diverged; go back to an earlier step"
        )
    if apart > TOLERANCE * scale:
        raise MinilmError(
            f"The gates recomputed from the weights miss the layer's own output by {apart:.1e}; "
            "is it a plain LSTM with gates in the order i, f, g, o?"
        )
    return {"hidden": outputs, "cell": cells, "gates": gates}


def layers_inside(
    names: Sequence[str],
    weights: Mapping[str, Array],
    values: Sequence[Array],
    before: Sequence[Sequence[Array]],
) -> dict[str, Array]:
    """The named arrays ("gates.0", "cell.1") of the layers that they are in.

    values: the embeddings (T, E), then each layer's output (T, H); before: each layer's hidden and cell (H,).
    """
    found: dict[str, Array] = {}
    for number in sorted({int(name.split(".")[1]) for name in names}):
        layer = Layer(*(weights[f"lstm.{number}.{part}"] for part in Layer._fields))
        hidden, cell = before[number]
        inside = layer_inside(layer, values[number], values[number + 1], hidden, cell)
        found |= {f"{kind}.{number}": frozen_array(array) for kind, array in inside.items()}
    return {name: found[name] for name in names}
