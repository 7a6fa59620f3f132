"""A training loop as anyone would write it in PyTorch, and how ours compares with it.

nn.LSTM, cross entropy, torch.optim.Adam; the loss is read at every step, as ours is.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional

from minilm.bench.measure import Figure, Work, in_turns
from minilm.bench.torch_loops import PlainNet
from minilm.bench.training import DROPOUT, VOCAB_SIZE, batches, train_words

__all__ = ["plain_loop", "training"]


def plain_loop(steps: int, dropout: float = 0) -> Work:
    """The work of so many training steps on a fresh net."""
    net = PlainNet(VOCAB_SIZE, dropout=dropout).train()
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    prepared = batches(steps)

    def work() -> float:
        total = 0.0
        for inputs, targets in prepared:
            adam.zero_grad()
            logits, _, _ = net(torch.from_numpy(inputs))
            loss = functional.cross_entropy(logits.view(-1, VOCAB_SIZE), torch.from_numpy(targets).view(-1))
            loss.backward()
            adam.step()
            total += loss.item()
        return total

    return work


def training(quick: bool) -> Iterator[Figure]:
    """Training steps per second in torch, ours over the plain loop; with dropout apart."""
    steps, runs = (2, 3) if quick else (5, 21)
    yield in_turns("torch training / plain loop", train_words("torch", steps), plain_loop(steps), runs, 0.95)
    ours, plain = train_words("torch", steps, DROPOUT), plain_loop(steps, DROPOUT)
    yield in_turns("torch training / plain loop, with dropout", ours, plain, runs, None)
