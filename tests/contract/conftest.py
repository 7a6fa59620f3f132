"""Every backend, or the reason why one is skipped; batches; and an independent net of plain PyTorch."""

import importlib.util

import numpy as np
import pytest

from minilm.backends import create
from minilm.records import ModelConfig

if importlib.util.find_spec("torch"):
    import torch  # before TensorFlow: the other order aborts with some CUDA builds

CONFIG = ModelConfig(vocab_size=13, embedding_size=5, hidden_size=6, layers=2, seed=3)


@pytest.fixture(params=["numpy", "torch", "tensorflow"])
def backend(request):
    if not importlib.util.find_spec(request.param):
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def model(backend):
    """A small model of two layers in float64."""
    return create(backend, CONFIG, "float64")


@pytest.fixture
def batch():
    """inputs, targets, mask (4, 7): ids that repeat, rows of different lengths."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, CONFIG.vocab_size, (4, 8))
    ids[0, :4] = 5
    mask = (np.arange(7) < np.array([7, 3, 1, 5])[:, None]).astype(np.float64)
    return ids[:, :-1], ids[:, 1:], mask


@pytest.fixture
def dropout():
    """Two masks (B, T, H) that keep two thirds."""
    rng = np.random.default_rng(2)
    return [(rng.random((4, 7, CONFIG.hidden_size)) < 2 / 3) * 1.5 for _ in range(CONFIG.layers)]


class Oracle:
    """The model once more, in plain PyTorch and float64, from canonical arrays; autograd does the rest."""

    def __init__(self, config, arrays):
        self.config = config
        self.tensors = {
            name: torch.tensor(np.array(array), dtype=torch.float64) for name, array in arrays.items()
        }
        for tensor in self.tensors.values():
            tensor.requires_grad_()

    def logits(self, ids, dropout=None):
        values = self.tensors["embedding"][torch.as_tensor(np.array(ids))]
        for number in range(self.config.layers):
            kernel, recurrent, bias = (
                self.tensors[f"lstm.{number}.{part}"] for part in ("kernel", "recurrent", "bias")
            )
            nothing = torch.zeros(values.shape[0], self.config.hidden_size, dtype=torch.float64)
            weights = [kernel.T, recurrent.T, bias, torch.zeros_like(bias)]
            values, _, _ = torch.lstm(
                values, (nothing[None], nothing[None]), weights, True, 1, 0.0, False, False, True
            )
            if dropout is not None:
                values = values * torch.as_tensor(dropout[number])
        return values @ self.tensors["head.kernel"] + self.tensors["head.bias"]

    def loss(self, inputs, targets, mask, dropout=None, denominator=None):
        scores = self.logits(inputs, dropout).log_softmax(-1)
        wanted = scores.gather(-1, torch.as_tensor(np.array(targets))[..., None])[..., 0]
        return -(wanted * torch.as_tensor(mask)).sum() / (denominator or mask.sum())

    def gradients(self, *batch, **more):
        loss = self.loss(*batch, **more)
        found = torch.autograd.grad(loss, list(self.tensors.values()))
        return loss.item(), {name: g.numpy() for name, g in zip(self.tensors, found, strict=True)}


@pytest.fixture
def oracle():
    pytest.importorskip("torch", reason="torch is the oracle")
    return Oracle
