"""NumPy from scratch against torch, both through minilm: streaming, and a step of training.

Knows neither of them: only their names.
"""

from __future__ import annotations

from collections.abc import Iterator

from minilm.bench.measure import Figure, in_turns
from minilm.bench.streaming import stream_words
from minilm.bench.training import train_words

__all__ = ["streaming", "training"]


def streaming(quick: bool) -> Iterator[Figure]:
    """Tokens per second with the full record, NumPy over torch."""
    tokens, runs = (25, 5) if quick else (25, 41)
    for vocab_size, bar in ((512, 1.5), (4000, None)):
        ours, other = (stream_words(backend, vocab_size, tokens) for backend in ("numpy", "torch"))
        yield in_turns(f"NumPy stream / torch stream, V={vocab_size}", ours, other, runs, bar)


def training(quick: bool) -> Iterator[Figure]:
    """Training steps per second, NumPy over torch."""
    steps, runs = (2, 3) if quick else (5, 15)
    ours, other = (train_words(backend, steps) for backend in ("numpy", "torch"))
    yield in_turns("NumPy training / torch training", ours, other, runs, 0.25)
