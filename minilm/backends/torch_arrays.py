"""NumPy arrays as torch's tensors and back: what a student's PyTorch file is handed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from minilm.records import Array

__all__ = ["array", "tensor"]


def tensor(values: Array) -> torch.Tensor:
    """A float32 tensor of its own."""
    return torch.from_numpy(np.array(values, np.float32))


def array(values: Any) -> Array:
    """A float64 array of a tensor (or of what NumPy takes for an array), off its graph and device."""
    found = values.detach().cpu() if isinstance(values, torch.Tensor) else values
    return np.asarray(found, np.float64)
