"""A full-size GPT-2 with random weights: the debugger against generate() and the naive debug loop; its past.

The naive loop reads the whole context again for every token.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from minilm.backends.huggingface.open import wrap_model
from minilm.bench.measure import Figure, in_turns, seconds
from minilm.bench.workloads import PROMPT, FakeCodec, stream_model
from minilm.generation import open_session, start

__all__ = ["debug_loop", "generate_loop", "measure_states", "measure_streaming"]

_PLACES = 1_000  # states that are kept


def debug_loop(net: Any, codec: FakeCodec, tokens: int) -> str:
    """Generate `tokens` tokens the naive way: read the whole context each time, print five candidates."""
    out = io.StringIO()
    ids = torch.tensor([codec.encode(PROMPT, special=True)])
    for step in range(tokens):
        with torch.no_grad():
            logits = net(ids).logits[0, -1, :]  # (V,)
        p = torch.softmax(logits / 0.8, dim=-1)
        best, best_ids = torch.topk(p, 5)
        print(f"\nStep {step + 1}\nContext so far: {codec.decode(ids[0].tolist())}", file=out)
        for rank, (token_id, probability) in enumerate(zip(best_ids, best, strict=True), start=1):
            word = codec.decode([int(token_id)])
            logit = logits[token_id].item()
            print(f"  {rank}. {word!r} logit={logit:.4f} prob={probability.item():.4f}", file=out)
        chosen = torch.multinomial(p, num_samples=1)
        print(f"Chosen token: {codec.decode([int(chosen)])!r}, {p[chosen].item():.4f}", file=out)
        ids = torch.cat([ids, chosen.unsqueeze(0)], dim=1)
    return out.getvalue()


def generate_loop(net: Any, codec: FakeCodec, tokens: int) -> Any:
    """Call generate() of transformers with our sampling: temperature 0.8, top-k 40, top-p 0.9."""
    ids = torch.tensor([codec.encode(PROMPT, special=True)])
    return net.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=True,
        temperature=0.8,
        top_k=40,
        top_p=0.9,
        eos_token_id=None,
        pad_token_id=0,
    )


def measure_streaming(quick: bool) -> Iterator[Figure]:
    """Measure the debugger on GPT-2 (12 layers, E=768, V=50257) against generate() and the naive loop."""
    tokens, runs = (16, 3) if quick else (128, 5)
    net = GPT2LMHeadModel(GPT2Config(bos_token_id=None, eos_token_id=None)).eval()
    codec, ours = FakeCodec(net.config.vocab_size), stream_model(wrap_model(net), tokens)
    name = f"GPT-2 stream / generate(), {tokens} tokens"
    yield in_turns(name, ours, lambda: generate_loop(net, codec, tokens), runs, 0.93)
    name = f"GPT-2 stream / naive debug loop, {tokens} tokens"
    yield in_turns(name, ours, lambda: debug_loop(net, codec, tokens), max(1, runs // 2), 4.0)


def measure_states(quick: bool) -> Iterator[Figure]:
    """Measure the past of a debugger: a thousand kept states with their cache, a rewind, and a branch."""
    # Windows has no module `resource`, which footprint.py needs; measure_streaming works there without it.
    from minilm.bench.footprint import megabytes

    places, runs = (100, 3) if quick else (_PLACES, 7)
    model = wrap_model(GPT2LMHeadModel(GPT2Config(n_positions=_PLACES + 24)), "gpt2")
    before = megabytes()
    states = [model.read([1]).state]
    for place in range(places):
        states.append(model.read([2 + place % 50], states[-1]).state)
    grown = max(megabytes() - before, 0.0)
    yield Figure(f"{places:,} kept states of GPT-2", grown, grown, grown, 1, 200.0, False, "MB")
    yield seconds("rewind of GPT-2 by 10 steps", _rewind(model), runs, 1e-3)
    step_seconds = median(_time_read(model, states[-1]) for _ in range(runs))
    yield seconds("branch of GPT-2, beyond its step", _branch(model, states, step_seconds), runs, 50e-3)


def _time_read(model: Any, state: Any) -> float:
    began = perf_counter()
    model.read([7], state)
    return perf_counter() - began


def _branch(model: Any, states: list[Any], step_seconds: float) -> Callable[[], float]:
    """Return a measurement of reading another token at an older place, which copies the cache up to there."""
    return lambda: max(_time_read(model, states[-2]) - step_seconds, 0.0)


def _rewind(model: Any) -> Callable[[], float]:
    """Return a measurement of going back ten steps, which takes an older state again."""
    session = open_session(start(model, FakeCodec(model.vocab_size), PROMPT, max_tokens=None, eos_ids=()))
    *_, session = session.run(12)

    def measure() -> float:
        began = perf_counter()
        session.back(10)
        return perf_counter() - began

    return measure
