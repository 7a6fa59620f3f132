"""Lesson 3, exercise: from logits to one token. Run `pytest` in this folder to see your points.

Replace each `raise` by your own lines. V is the size of the vocabulary; p always sums to 1.
"""

import numpy as np  # noqa: F401  you will want it


def softmax(logits, temperature=1.0):
    """Task 3.1. The probabilities (V,) of logits (V,) that are first divided by the temperature.

    Take off the largest one before e^x, so that large logits give numbers too.

    >>> softmax(np.array([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    raise NotImplementedError("task 3.1")


def top_k(p, k):
    """Task 3.2. Keep the k likeliest tokens: the others become 0, and what is left sums to 1 again.

    Tokens as likely as the k-th stay too; a k above V keeps all.

    >>> top_k(np.array([0.5, 0.3, 0.2]), 2).round(3).tolist()
    [0.625, 0.375, 0.0]
    """
    raise NotImplementedError("task 3.2")


def top_p(p, mass):
    """Task 3.3. Keep the fewest likeliest tokens whose mass reaches `mass`; what is left sums to 1 again.

    The token that crosses the line stays. The likeliest one always stays.

    >>> top_p(np.array([0.5, 0.3, 0.2]), 0.6).round(3).tolist()
    [0.625, 0.375, 0.0]
    """
    raise NotImplementedError("task 3.3")


def entropy(p):
    """Task 3.4. The uncertainty -sum(p ln p) in nats, a float; a token of probability 0 adds nothing.

    >>> round(entropy(np.array([0.5, 0.5, 0.0])), 4)
    0.6931
    """
    raise NotImplementedError("task 3.4")


def draw(p, u):
    """Task 3.5. The token on whose interval u falls, where token 0 owns [0, p[0]), token 1 the next p[1], ...

    u: a number in [0, 1), from the dice. A token of probability 0 owns nothing and is never drawn.

    >>> [draw(np.array([0.25, 0.5, 0.25]), u) for u in (0.0, 0.25, 0.99)]
    [0, 1, 2]
    """
    raise NotImplementedError("task 3.5")


def cosine(a, b):
    """Task 3.6. The cosine of the angle between two vectors (E,), a float; 0.0 where one is all zeros.

    >>> cosine(np.array([1.0, 0.0]), np.array([-2.0, 0.0]))
    -1.0
    """
    raise NotImplementedError("task 3.6")
