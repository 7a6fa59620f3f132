"""A full-size GPT-2 with random weights: our debugger against generate(), and against the naive debug loop.

The naive loop reads the whole context again for every token and prints its five best candidates.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from minilm.backends.huggingface.open import wrap_model
from minilm.bench.measure import Figure, in_turns
from minilm.bench.streaming import PROMPT, stream_model
from minilm.bench.words import Words

__all__ = ["debug_loop", "generate_loop", "streaming"]


def debug_loop(net: Any, codec: Words, tokens: int) -> str:
    """Generate as many tokens from the whole context each time, printing (into memory) the candidates."""
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


def generate_loop(net: Any, codec: Words, tokens: int) -> Any:
    """generate() of transformers with our sampling: temperature 0.8, top-k 40, top-p 0.9."""
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


def streaming(quick: bool) -> Iterator[Figure]:
    """The debugger on GPT-2 (12 layers, 768 wide, V=50257) against generate() and the naive loop."""
    tokens, runs = (16, 3) if quick else (128, 5)
    net = GPT2LMHeadModel(GPT2Config(bos_token_id=None, eos_token_id=None)).eval()
    codec, ours = Words(net.config.vocab_size), stream_model(wrap_model(net), tokens)
    name = f"GPT-2 stream / generate(), {tokens} tokens"
    yield in_turns(name, ours, lambda: generate_loop(net, codec, tokens), runs, 0.93)
    name = f"GPT-2 stream / naive debug loop, {tokens} tokens"
    yield in_turns(name, ours, lambda: debug_loop(net, codec, tokens), max(1, runs // 2), 4.0)
