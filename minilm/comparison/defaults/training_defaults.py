"""Defaults of training that can be switched on: the optimizer, and the loop around it.

Keras's side is written from its formulas; tests compare it with keras.optimizers and torch.optim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from minilm.backends import create
from minilm.backends.numpy.adam import clip_factor, global_norm
from minilm.backends.numpy.loss import sum_by_id
from minilm.comparison.defaults.net_defaults import check_refusal
from minilm.comparison.defaults.small_net import (
    CONFIG,
    Slices,
    compute_gradients,
    make_batch,
    make_small_weights,
)
from minilm.dice import generator
from minilm.errors import MinilmError
from minilm.records import Array
from minilm.training.batches import Batches

__all__ = ["LOOP", "OPTIMIZER", "adam_update", "clip_gradients", "observe_loop", "observe_optimizer"]

OPTIMIZER = frozenset(
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

LOOP = frozenset(["infinite_gradient", "id_range", "reported_loss", "shuffling"])

STEPS, RATE, CLIP, DECAY = 8, 1e-2, 0.3, 0.1


def observe_optimizer(on: frozenset[str]) -> dict[str, Array]:
    """Train the small net with Adam, and take one step of SGD and one with weight decay.

    Args:
        on: the defaults of OPTIMIZER that are switched on.

    Returns:
        The losses, the first clipped gradients, the weights after Adam, SGD and decay.
    """
    arrays = make_small_weights()
    if "two_biases" in on:
        arrays["second"] = np.zeros_like(arrays["lstm.0.bias"])
    moments = {name: (np.zeros_like(array), np.zeros_like(array)) for name, array in arrays.items()}
    losses, first = [], {}
    for step in range(1, STEPS + 1):
        slices = compute_gradients(_sum_biases(arrays), make_batch(step))
        gradients, squares = clip_gradients(slices, on)
        if "two_biases" in on:
            gradients["second"] = gradients["lstm.0.bias"]
        first = first or {name: array.copy() for name, array in gradients.items() if name != "second"}
        losses.append(slices.loss)
        for name, array in arrays.items():
            array -= adam_update(moments[name], gradients[name], squares.get(name), step, on)
    return (
        {"losses": np.array(losses)}
        | {f"clipped gradient of {name}": array for name, array in first.items()}
        | {f"weights {name}": array for name, array in _sum_biases(arrays).items()}
        | _take_sgd_step(on)
        | _take_decay_step(on)
    )


def _sum_biases(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the canonical arrays: two biases become their sum."""
    found = {name: array for name, array in arrays.items() if name != "second"}
    return found | {"lstm.0.bias": found["lstm.0.bias"] + arrays["second"]} if "second" in arrays else found


def clip_gradients(slices: Slices, on: frozenset[str]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Clip gradients by their norm.

    Args:
        slices: the gradients of one batch.
        on: the defaults that are switched on.

    Returns:
        The clipped gradients by name, and for a sparse embedding the sum of its squared slices.
    """
    table = sum_by_id(slices.ids, slices.rows, CONFIG.vocab_size)
    gradients = {"embedding": table, **slices.dense}
    measured = {**gradients, "embedding": slices.rows} if "clip_sparse" in on else gradients
    if "clip_per_variable" in on:
        factors = {name: _clip_factor(global_norm({name: measured[name]}), on) for name in gradients}
    else:
        factors = dict.fromkeys(gradients, _clip_factor(global_norm(measured), on))
    squares = {}
    if "embedding_sparse" in on:
        rows = np.square(slices.rows * factors["embedding"])
        squares["embedding"] = sum_by_id(slices.ids, rows, CONFIG.vocab_size)
    return {name: array * factors[name] for name, array in gradients.items()}, squares


def _clip_factor(norm: float, on: frozenset[str]) -> float:
    return min(1.0, CLIP / norm) if "clip_divisor" in on else clip_factor(norm, CLIP)


def adam_update(
    moments: tuple[Array, Array], gradient: Array, squares: Array | None, step: int, on: frozenset[str]
) -> Array:
    """Return what Adam subtracts from a weight (Kingma and Ba, 2015).

    Args:
        moments: m and v; they are updated in place.
        gradient: of the weight, the same shape.
        squares: the squared gradient where it is not gradient², else None.
        step: the number of the update, from 1.
        on: the defaults that are switched on.
    """
    constants = 0.9, 0.999, RATE
    # Keras rounds the numbers that it raises to powers to float32, and nothing else.
    power1, power2, rate = (float(np.float32(x)) if "adam_constants" in on else x for x in constants)
    epsilon = 1e-7 if "adam_epsilon" in on else 1e-8
    m, v = moments
    # m_t = β₁ m + (1-β₁) g        v_t = β₂ v + (1-β₂) g²
    m += (1 - constants[0]) * (gradient - m)
    v += (1 - constants[1]) * ((gradient * gradient if squares is None else squares) - v)
    size, root = rate / (1 - power1**step), math.sqrt(1 - power2**step)
    if "adam_epsilon_hat" in on:
        # η √(1-β₂ᵗ) / (1-β₁ᵗ) · m / (√v + ε)
        return size * root * m / (np.sqrt(v) + epsilon)
    # η / (1-β₁ᵗ) · m / (√v / √(1-β₂ᵗ) + ε)
    return size * m / (np.sqrt(v) / root + epsilon)


def _take_sgd_step(on: frozenset[str]) -> dict[str, Array]:
    """Return the head's bias after one step of SGD at the default rate."""
    rate = 1e-2 if "sgd_rate" in on else 1e-3
    arrays = make_small_weights()
    gradient = compute_gradients(arrays, make_batch()).dense["head.bias"]
    return {"weights after SGD": arrays["head.bias"] - rate * gradient}


def _take_decay_step(on: frozenset[str]) -> dict[str, Array]:
    """Return the head's kernel after one step of Adam with weight decay, decoupled or in the gradient."""
    kernel = make_small_weights()["head.kernel"]
    gradient = compute_gradients(make_small_weights(), make_batch()).dense["head.kernel"]
    moments = np.zeros_like(kernel), np.zeros_like(kernel)
    if "weight_decay" in on:
        # L2: the decay joins the gradient, and Adam divides it by the gradient's size.
        gradient = gradient + DECAY * kernel
        return {"weights after decay": kernel - adam_update(moments, gradient, None, 1, on)}
    # AdamW (Loshchilov and Hutter, 2019): w (1 - η λ) - update
    return {"weights after decay": kernel * (1 - RATE * DECAY) - adam_update(moments, gradient, None, 1, on)}


def observe_loop(on: frozenset[str]) -> dict[str, Array]:
    """Measure the loop around a net.

    Args:
        on: the defaults of LOOP that are switched on.

    Returns:
        The answers to an infinite gradient and to an id out of range, the losses as they are reported, and
        the first ids of two batches.
    """
    losses = np.array([2.4, 2.1, 1.9, 1.8])
    running = np.cumsum(losses) / np.arange(1, 5)
    return {
        "infinite gradient": _clip_infinite(on),
        "id out of range": check_refusal(_read_wrong_id, "id_range" in on),
        "reported losses": running if "reported_loss" in on else losses,
        "order of rows": _order_rows(on),
    }


def _clip_infinite(on: frozenset[str]) -> Array:
    gradients = {"a": np.array([1.0, np.inf]), "b": np.array([2.0])}
    try:
        norm = global_norm(gradients)
        factor = np.nan if "infinite_gradient" in on else clip_factor(norm, 1.0)
        clipped = np.concatenate([array * factor for array in gradients.values()])
    except MinilmError:
        return np.array("refused")
    return np.array(" ".join(f"{value:g}" for value in clipped))


def _read_wrong_id() -> None:
    create("numpy", CONFIG).read([CONFIG.vocab_size])


def _order_rows(on: frozenset[str]) -> Array:
    documents = [np.arange(number, number + 5) for number in range(12)]
    rows = np.concatenate([Batches(documents, 6, 4).batch(step).inputs[:, 0] for step in range(2)])
    return generator(3, "rows").permutation(rows) if "shuffling" in on else rows
