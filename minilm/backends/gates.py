"""The gates of a fused LSTM layer: recomputed from its weights, and checked against its own output.

The LSTM layers of PyTorch and Keras answer with hidden states alone. With these and the weights, all gates
follow from two matrix products; only the cell must be computed step by step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minilm.backends.numpy.layer import Layer, activate_gates, split_gates
from minilm.difference import largest_difference, scale_difference
from minilm.errors import MinilmError
from minilm.records import Array, frozen_array

__all__ = ["recompute_layer", "recompute_layers"]

TOLERANCE = 1e-6
"""Largest difference of a hidden state, scaled by the largest pre-activation."""


# Weights that have diverged overflow here; the difference then is not finite, which is reported.
@np.errstate(over="ignore", invalid="ignore")
def recompute_layer(
    layer: Layer, inputs: Array, outputs: Array, hidden: Array, cell: Array
) -> dict[str, Array]:
    """Return what a layer keeps to itself.

    Args:
        layer: its weights.
        inputs: x (T, I), what the layer has read.
        outputs: h (T, H), what it has answered.
        hidden: the hidden state (H,) before the first step.
        cell: the cell (H,) before the first step.

    Returns:
        "hidden" (T, H), "cell" (T, H), and "gates" (T, 4H) after activation, in the order i, f, g, o.

    Raises:
        MinilmError: the recomputed hidden states are not those that the layer has answered with.
    """
    # z_t = x_t W + h_{t-1} U + b, for all steps at once
    before = np.concatenate([hidden[None], outputs[:-1]])
    z = inputs @ layer.kernel + before @ layer.recurrent + layer.bias
    gates = activate_gates(z)
    i, f, g, o = split_gates(gates)
    # c_t = f * c_{t-1} + i * g
    cells = i * g
    for t in range(len(cells)):
        cells[t] += f[t] * (cells[t - 1] if t else cell)
    # h_t = o * tanh(c_t)
    difference = largest_difference(o * np.tanh(cells), outputs)
    if not np.isfinite(difference):
        raise MinilmError(
            "The hidden states are not finite: the training has diverged; go back to an earlier step"
        )
    if scale_difference(difference, float(np.abs(z).max())) > TOLERANCE:
        raise MinilmError(
            f"The gates recomputed from the weights miss the layer's own output by {difference:.1e}; "
            "is it a plain LSTM with gates in the order i, f, g, o?"
        )
    return {"hidden": outputs, "cell": cells, "gates": gates}


def recompute_layers(
    names: Sequence[str],
    weights: Mapping[str, Array],
    values: Sequence[Array],
    before: Sequence[Sequence[Array]],
) -> dict[str, Array]:
    """Return the inner arrays with these names, read-only.

    Args:
        names: such as "gates.0" and "cell.1".
        weights: the canonical weights.
        values: the embeddings (T, E), and then each layer's output (T, H).
        before: each layer's hidden state (H,) and cell (H,) before the first step.
    """
    found: dict[str, Array] = {}
    for number in sorted({int(name.split(".")[1]) for name in names}):
        layer = Layer(*(weights[f"lstm.{number}.{part}"] for part in Layer._fields))
        hidden, cell = before[number]
        arrays = recompute_layer(layer, values[number], values[number + 1], hidden, cell)
        found |= {f"{kind}.{number}": frozen_array(array) for kind, array in arrays.items()}
    return {name: found[name] for name in names}
