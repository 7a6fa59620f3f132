"""Lesson 3, one solution of the exercise: from logits to one token."""

import numpy as np


def softmax(logits, temperature=1.0):
    """Task 3.1. The probabilities (V,) of logits (V,) that are first divided by the temperature."""
    scores = logits / temperature
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def top_k(p, k):
    """Task 3.2. Keep the k likeliest tokens and those as likely as the k-th; what is left sums to 1 again."""
    least = np.sort(p)[::-1][min(k, len(p)) - 1]
    return _renormalised(np.where(p >= least, p, 0))


def top_p(p, mass):
    """Task 3.3. Keep the fewest likeliest tokens whose mass reaches `mass`; what is left sums to 1 again."""
    best_first = np.argsort(-p, kind="stable")
    before = np.cumsum(p[best_first]) - p[best_first]  # the mass of all that are likelier
    kept = best_first[(before < mass) | (np.arange(len(p)) == 0)]
    return _renormalised(np.where(np.isin(np.arange(len(p)), kept), p, 0))


def _renormalised(p):
    return p / p.sum()


def entropy(p):
    """Task 3.4. The uncertainty -sum(p ln p) in nats, a float; a token of probability 0 adds nothing."""
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def draw(p, u):
    """Task 3.5. The token on whose interval u falls."""
    ends = np.cumsum(p)
    return int(np.searchsorted(ends / ends[-1], u, side="right"))  # rounding may end the sum below u


def cosine(a, b):
    """Task 3.6. The cosine of the angle between two vectors (E,), a float; 0.0 where one is all zeros."""
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else 0.0
