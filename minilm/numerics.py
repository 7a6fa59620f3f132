"""Softmax, entropy, cosine, rank and adaptive k, in float64; each formula can be checked by hand."""

import math

import numpy as np

from minilm.records import Array

__all__ = [
    "K_MASS",
    "LARGEST_K",
    "LEAST_K",
    "adaptive_k",
    "contenders",
    "cosine",
    "entropy",
    "log_odds",
    "log_softmax",
    "log_sum_exp",
    "rank",
    "softmax",
    "sorted_k",
]

K_MASS, LEAST_K, LARGEST_K = 0.95, 8, 64
"""The mass that an adaptive k holds, and the least and the largest k that are reported."""


def log_sum_exp(scores: Array, axis: int = -1) -> Array:
    """Return ln(sum_i e^(s_i)) along an axis, in float64; an entry of -inf adds 0.

    >>> round(float(log_sum_exp(np.log([0.25, 0.25, 0.5]))), 12)
    0.0
    """
    scores = np.asarray(scores, dtype=np.float64)
    # ln(sum_i e^(s_i)) = max s + ln(sum_i e^(s_i - max s)), which cannot overflow
    top = scores.max(axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.exp(scores - top).sum(axis=axis))


def log_softmax(scores: Array, axis: int = -1) -> Array:
    """Return the log-probabilities s_i - ln(sum_j e^(s_j)), in float64, of the same shape.

    >>> log_softmax(np.array([0.0, 0.0])).round(4).tolist()
    [-0.6931, -0.6931]
    """
    scores = np.asarray(scores, dtype=np.float64)
    return scores - np.expand_dims(log_sum_exp(scores, axis), axis)


def softmax(scores: Array, axis: int = -1) -> Array:
    """Return the probabilities e^(s_i) / sum_j e^(s_j), in float64; -inf becomes 0.

    >>> softmax(np.array([1.0, 1.0, -np.inf])).tolist()
    [0.5, 0.5, 0.0]
    """
    scores = np.asarray(scores, dtype=np.float64)
    # p_i = e^(s_i - max s) / sum_j e^(s_j - max s)
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def entropy(probabilities: Array) -> float:
    """Return the Shannon entropy H = -sum_i p_i ln p_i, in nats; 0 ln 0 is 0.

    >>> round(entropy(np.array([0.5, 0.5, 0.0])), 4)
    0.6931
    """
    p = np.asarray(probabilities, dtype=np.float64)
    p = p[p > 0]
    return float(-(p @ np.log(p)))


def log_odds(p: float) -> float:
    """Return ln(p / (1 - p)) of a probability, in nats; infinite at 0 and at 1, and beyond them.

    If the scores of some tokens rise by x and the others stay, the log-odds of their mass rise by x.

    >>> log_odds(0.5), round(log_odds(0.9), 4), log_odds(1.0)
    (0.0, 2.1972, inf)
    """
    if p <= 0:
        return -math.inf
    return math.inf if p >= 1 else math.log(p / (1 - p))


def cosine(a: Array, b: Array) -> float:
    """Return the cosine of the angle between two vectors; 0 if one of them is all zeros.

    >>> cosine(np.array([1.0, 0.0]), np.array([-2.0, 0.0]))
    -1.0
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    # cos = a . b / (|a| |b|)
    length = math.sqrt(a.dot(a) * b.dot(b))
    return float(a.dot(b)) / length if length else 0.0


def rank(scores: Array, index: int) -> int:
    """Return the place of an entry counted from the best, from 1; among equals the lower index is first.

    >>> [rank(np.array([3.0, 2.0, 3.0]), i) for i in range(3)]
    [1, 3, 2]
    """
    value = scores[index]
    return int(np.count_nonzero(scores > value) + np.count_nonzero(scores[:index] == value)) + 1


def contenders(values: Array, n: int) -> Array:
    """Return some of the numbers (S,), with the n largest among them, as a new array.

    The array is cut into many blocks. At least n values reach the n-th largest of the blocks' maxima, and few
    more do. This takes a tenth of the time of a partition.

    >>> sorted(contenders(np.arange(100.0), 2).tolist())[-2:]
    [98.0, 99.0]
    """
    width = values.size // (4 * n)
    if width < 4:
        return values.copy()
    peaks = np.maximum.reduce(values[: values.size // width * width].reshape(width, -1))
    peaks.partition(peaks.size - n)
    return values[values >= peaks[peaks.size - n]]


def adaptive_k(
    probabilities: Array, mass: float = K_MASS, minimum: int = LEAST_K, maximum: int = LARGEST_K
) -> tuple[int, float]:
    """Return the number k of the fewest best tokens that hold `mass`, and the probability they hold.

    Args:
        probabilities: (S,) in any order.
        mass: The probability that k tokens should hold.
        minimum: The least k.
        maximum: The largest k; k is also at most the number of probabilities above 0.

    >>> adaptive_k(np.array([0.2, 0.5, 0.0, 0.3]), mass=0.8, minimum=1)
    (2, 0.8)
    """
    p = contenders(np.asarray(probabilities, dtype=np.float64), maximum)
    if p.size > maximum:
        p.partition(p.size - maximum)
        p = p[p.size - maximum :]
    p.sort()
    return sorted_k(p[::-1], mass, minimum, maximum)


def sorted_k(
    descending: Array, mass: float = K_MASS, minimum: int = LEAST_K, maximum: int = LARGEST_K
) -> tuple[int, float]:
    """Return the same as adaptive_k for probabilities in descending order.

    Args:
        descending: The largest probabilities, largest first; `maximum` of them are enough.
        mass: The probability that k tokens should hold.
        minimum: The least k.
        maximum: The largest k.

    >>> sorted_k(np.array([0.5, 0.3, 0.2, 0.0]), mass=0.8, minimum=1)
    (2, 0.8)
    """
    total = descending.cumsum()
    reached = int(total.searchsorted(mass - 1e-12)) + 1
    above = descending.size if descending[-1] > 0 else int(np.count_nonzero(descending))
    k = min(max(reached, minimum), maximum, above)
    return k, min(float(total[k - 1]), 1.0)
