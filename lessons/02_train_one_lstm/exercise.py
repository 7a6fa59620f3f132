"""Lesson 2, exercise: four formulas of training, in NumPy. Run `pytest` in this folder to see your points.

Replace each `raise` by your own lines. B is the size of a batch, T time, V vocabulary, E embedding, H hidden.
"""

import numpy as np  # noqa: F401  you will want it


def cross_entropy(logits, targets, mask):
    """Task 2.1. The mean over the unmasked targets of -ln p(target): a float, in nats per token.

    logits: (B, T, V); targets: (B, T) ids; mask: (B, T), 1 for a token and 0 for padding. p is the softmax
    of the logits; take off the largest logit first, so that e^1000 never comes up.
    """
    raise NotImplementedError("task 2.1")


def lstm_step(x, h, c, kernel, recurrent, bias):
    """Task 2.2. One step of an LSTM: the new output h and the new memory c, (H,) both.

    x: (E,); h, c: (H,); kernel: (E, 4H); recurrent: (H, 4H); bias: (4H,). The four blocks of
    x @ kernel + h @ recurrent + bias are i, f, g, o, in this order: i (what to write), f (what to keep) and
    o (what to show) go through 1 / (1 + e^-z), the candidate g through tanh.
    The new memory is f * c + i * g, the new output o * tanh(of the new memory).
    """
    raise NotImplementedError("task 2.2")


def clip(gradients, limit):
    """Task 2.3. Gradients whose norm, taken over all of them together, is at most the limit.

    gradients: a dictionary of arrays. Returns a new dictionary and the factor that all were multiplied by,
    1.0 where nothing was too long; the arrays that were given stay as they were.
    """
    raise NotImplementedError("task 2.3")


def adam_step(weight, gradient, m, v, step, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Task 2.4. One step of Adam (Kingma and Ba, 2015): the new weight, m and v.

    step counts from 1. m becomes beta1 * m + (1 - beta1) * gradient, v the same with beta2 and the square of
    the gradient. Both begin at 0 and are too small at first, so divide them by 1 - beta ** step;
    then the weight moves by -rate * m / (sqrt(v) + epsilon), with those divided m and v.
    """
    raise NotImplementedError("task 2.4")
