"""The rows of the optimizer: a few Adam steps in which each can be switched on, SGD and weight decay.

Keras's side is written from its formulas; tests hold it against keras.optimizers and torch.optim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minilm.backends.numpy.adam import clip_factor, global_norm
from minilm.backends.numpy.loss import sum_by_id
from minilm.comparison.defaults.small_net import CONFIG, Slices, batch, gradients, start
from minilm.records import Array

__all__ = ["NAMES", "adam_move", "clipped", "observe"]

NAMES = frozenset(
    [
        "two_biases",
        "adam_epsilon",
        "adam_epsilon_hat",
        "adam_constants",
        "embedding_sparse",
        "clip_divisor",
        "clip_per_variable",
        "clip_sparse",
        "weight_decay",
        "sgd_rate",
    ]
)

STEPS, RATE, CLIP, DECAY = 8, 1e-2, 0.3, 0.1


def observe(on: frozenset[str]) -> dict[str, Array]:
    """Losses, weights and first clipped gradient of a run of Adam; weights after SGD and after decay."""
    arrays = start()
    if "two_biases" in on:
        arrays["second"] = np.zeros_like(arrays["lstm.0.bias"])
    moments = {name: (np.zeros_like(array), np.zeros_like(array)) for name, array in arrays.items()}
    losses, first = [], {}
    for step in range(1, STEPS + 1):
        slices = gradients(_with_one_bias(arrays), batch(step))
        summed, squares = clipped(slices, on)
        if "two_biases" in on:
            summed["second"] = summed["lstm.0.bias"]
        first = first or {name: array.copy() for name, array in summed.items() if name != "second"}
        losses.append(slices.loss)
        for name, array in arrays.items():
            array -= adam_move(moments[name], summed[name], squares.get(name), step, on)
    after = _with_one_bias(arrays)
    return (
        {"losses": np.array(losses)}
        | {f"clipped gradient of {name}": array for name, array in first.items()}
        | {f"weights {name}": array for name, array in after.items()}
        | _sgd(on)
        | _decayed(on)
    )


def _with_one_bias(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The canonical arrays: where there are two biases, their sum."""
    found = {name: array for name, array in arrays.items() if name != "second"}
    return found | {"lstm.0.bias": found["lstm.0.bias"] + arrays["second"]} if "second" in arrays else found


def clipped(slices: Slices, on: frozenset[str]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Clipped gradients by name, and for a sparse embedding the sum of its squared slices."""
    table = sum_by_id(slices.ids, slices.rows, CONFIG.vocab_size)
    summed = {"embedding": table, **slices.dense}
    counted = {**summed, "embedding": slices.rows} if "clip_sparse" in on else summed
    if "clip_per_variable" in on:
        factors = {name: _factor(global_norm({name: counted[name]}), on) for name in summed}
    else:
        factors = dict.fromkeys(summed, _factor(global_norm(counted), on))
    squares = {}
    if "embedding_sparse" in on:
        rows = np.square(slices.rows * factors["embedding"])
        squares["embedding"] = sum_by_id(slices.ids, rows, CONFIG.vocab_size)
    return {name: array * factors[name] for name, array in summed.items()}, squares


def _factor(norm: float, on: frozenset[str]) -> float:
    return min(1.0, CLIP / norm) if "clip_divisor" in on else clip_factor(norm, CLIP)


def adam_move(
    moments: tuple[Array, Array], gradient: Array, squares: Array | None, step: int, on: frozenset[str]
) -> Array:
    """What Adam takes from a weight in its step-th update; the moments (m, v) are moved in place."""
    constants = 0.9, 0.999, RATE
    rounded = (float(np.float32(x)) if "adam_constants" in on else x for x in constants)
    power1, power2, rate = rounded  # Keras rounds what it raises to powers, and nothing else
    epsilon = 1e-7 if "adam_epsilon" in on else 1e-8
    m, v = moments
    m += (1 - constants[0]) * (gradient - m)
    v += (1 - constants[1]) * ((gradient * gradient if squares is None else squares) - v)
    size, root_share = rate / (1 - power1**step), math.sqrt(1 - power2**step)
    if "adam_epsilon_hat" in on:
        return size * root_share * m / (np.sqrt(v) + epsilon)
    return size * m / (np.sqrt(v) / root_share + epsilon)


def _sgd(on: frozenset[str]) -> dict[str, Array]:
    """The head's bias after one step of SGD at the default rate."""
    rate = 1e-2 if "sgd_rate" in on else 1e-3
    return {"weights after SGD": start()["head.bias"] - rate * gradients(start(), batch()).dense["head.bias"]}


def _decayed(on: frozenset[str]) -> dict[str, Array]:
    """The head's kernel after one step of Adam with weight decay, decoupled or in the gradient."""
    kernel, gradient = start()["head.kernel"], gradients(start(), batch()).dense["head.kernel"]
    moments = np.zeros_like(kernel), np.zeros_like(kernel)
    if "weight_decay" in on:
        gradient = gradient + DECAY * kernel
        return {"weights after decay": kernel - adam_move(moments, gradient, None, 1, on)}
    return {"weights after decay": kernel * (1 - RATE * DECAY) - adam_move(moments, gradient, None, 1, on)}
