"""Lesson 2, one solution of the exercise: four formulas of training, in NumPy."""

import numpy as np


def cross_entropy(logits, targets, mask):
    """Task 2.1. The mean over the unmasked targets of -ln p(target): a float, in nats per token."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    losses = -np.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]  # (B, T)
    return float((losses * mask).sum() / mask.sum())


def lstm_step(x, h, c, kernel, recurrent, bias):
    """Task 2.2. One step of an LSTM: the new output h and the new memory c, (H,) both."""
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def clip(gradients, limit):
    """Task 2.3. Gradients whose norm, taken over all of them together, is at most the limit."""
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients.values()))
    factor = float(limit / norm) if norm > limit else 1.0
    return {name: gradient * factor for name, gradient in gradients.items()}, factor


def adam_step(weight, gradient, m, v, step, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Task 2.4. One step of Adam (Kingma and Ba, 2015): the new weight, m and v."""
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient**2
    move = (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + epsilon)
    return weight - rate * move, m, v
