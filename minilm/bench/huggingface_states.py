"""What the past costs at the size of GPT-2 (random weights): a thousand kept states, a rewind, a branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

from transformers import GPT2Config, GPT2LMHeadModel

from minilm.backends.huggingface.open import wrap_model
from minilm.bench.measure import Figure, seconds
from minilm.bench.memory import megabytes
from minilm.bench.streaming import PROMPT
from minilm.bench.words import Words
from minilm.generation import open_session, start

__all__ = ["figures"]

_PLACES = 1_000


def figures(quick: bool = False) -> Iterator[Figure]:
    """Megabytes of the kept states, cache included; seconds of a rewind, and of a branch beyond its step."""
    places, runs = (100, 3) if quick else (_PLACES, 7)
    model = wrap_model(GPT2LMHeadModel(GPT2Config(n_positions=_PLACES + 24)), "gpt2")
    before = megabytes()
    states = [model.read([1]).state]
    for place in range(places):
        states.append(model.read([2 + place % 50], states[-1]).state)
    grown = max(megabytes() - before, 0.0)
    yield Figure(f"{places:,} kept states of GPT-2", grown, grown, grown, 1, 200.0, False, "MB")
    yield seconds("rewind of GPT-2 by 10 steps", _rewinding(model), runs, 1e-3)
    going_on = median(_read(model, states[-1]) for _ in range(runs))
    yield seconds("branch of GPT-2, beyond its step", _branching(model, states, going_on), runs, 50e-3)


def _read(model: Any, state: Any) -> float:
    begun = perf_counter()
    model.read([7], state)
    return perf_counter() - begun


def _branching(model: Any, states: list[Any], going_on: float) -> Callable[[], float]:
    """To read another token at an older place copies the cache up to it."""
    return lambda: max(_read(model, states[-2]) - going_on, 0.0)


def _rewinding(model: Any) -> Callable[[], float]:
    """To go back is to take up an older state again."""
    session = open_session(start(model, Words(model.vocab_size), PROMPT, max_tokens=None, eos_ids=()))
    *_, session = session.running(12)

    def measured() -> float:
        begun = perf_counter()
        session.back(10)
        return perf_counter() - begun

    return measured
