"""The file that a student starts from, in NumPy, PyTorch or TensorFlow: one step of an LSTM.

It is text: the course's frameworks are not imported to print it.
"""

from __future__ import annotations

from minilm.errors import MinilmError

__all__ = ["template"]

_WORDS = {
    "numpy": (
        "import numpy as np",
        "np.split(z, 4, axis=-1)",
        "1 / (1 + np.exp(-z))",
        "np.tanh",
    ),
    "torch": ("import torch", "z.chunk(4, dim=-1)", "torch.sigmoid(z)", "torch.tanh"),
    "tensorflow": (
        "import tensorflow as tf",
        "tf.split(z, 4, axis=-1)",
        "tf.sigmoid(z)",
        "tf.tanh",
    ),
}
_PAGE = '''"""One step of my LSTM. Hold it against the reference: minilm compare reference FILE.py"""

{imports}


def sigmoid(z):
    return {sigmoid}


def lstm_step(x, h, c, kernel, recurrent, bias):
    """x (E,), h and c (H,), kernel (E, 4H), recurrent (H, 4H), bias (4H,); gates in the order i, f, g, o."""
    z = x @ kernel + h @ recurrent + bias
    i, f, g, o = {split}
    i, f, g, o = sigmoid(i), sigmoid(f), {tanh}(g), sigmoid(o)
    c = f * c + i * g
    h = o * {tanh}(c)
    return h, c
'''


def template(framework: str) -> str:
    """The text of a file whose LSTM equals the reference.

    >>> template("torch").splitlines()[2]
    'import torch'
    """
    if framework not in _WORDS:
        raise MinilmError(f"There are templates for {', '.join(_WORDS)}, got {framework!r}")
    imports, split, sigmoid, tanh = _WORDS[framework]
    return _PAGE.format(imports=imports, split=split, sigmoid=sigmoid, tanh=tanh)
