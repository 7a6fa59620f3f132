"""What the doctor costs at a PyTorch loop: the plain loop watched, over the plain loop alone."""

from __future__ import annotations

from collections.abc import Iterator

from minilm.bench.measure import Figure, Work, in_turns
from minilm.bench.torch_training import plain_loop
from minilm.doctor.torch.attach import attach

__all__ = ["figures"]


def figures(quick: bool) -> Iterator[Figure]:
    """Seconds of 25 training steps with the doctor attached, over those without; 25 % is allowed."""
    steps, runs = (5, 3) if quick else (25, 5)
    plain = plain_loop(steps)
    yield in_turns("torch loop with the doctor / alone", _watched(plain), plain, runs, 1.25, at_least=False)


def _watched(work: Work) -> Work:
    def watched() -> object:
        with attach():
            return work()

    return watched
