"""Streaming from an LSTM as anyone would write it in PyTorch, and how our record compares with it.

The debug loop prints id, embedding shape, norm and vector of every token and samples with temperature,
top-k and top-p; it reads the whole prompt. The bare step is embedding, LSTM and output layer alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from minilm.backends import create
from minilm.bench.measure import Figure, in_turns
from minilm.bench.streaming import PROMPT, stream_model, stream_words
from minilm.bench.words import Words
from minilm.records import ModelConfig
from minilm.weights import initial

__all__ = ["PlainNet", "debug_loop", "forward_loop", "streaming"]


class PlainNet(nn.Module):
    """Embedding, LSTM, output layer: ids (B, T) -> logits (B, T, V), state, embeddings (B, T, E)."""

    def __init__(
        self, vocab_size: int, embedding_size: int = 64, hidden_size: int = 128, dropout: float = 0
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, vocab_size)

    def forward(self, ids: Tensor, state: tuple[Tensor, Tensor] | None = None):
        """Logits, the state after the ids, and their embeddings."""
        embeddings = self.embed(ids)
        hidden, state = self.lstm(embeddings, state)
        return self.head(self.drop(hidden)), state, embeddings


def _sample(logits: Tensor, temperature: float, top_k: int, top_p: float) -> int:
    p = torch.softmax(logits / temperature, dim=-1)  # (1, V)
    if top_k:
        best, _ = torch.topk(p, min(top_k, p.size(-1)))
        p = torch.where(p < best[:, -1:], torch.zeros_like(p), p)
    ordered, indices = torch.sort(p, descending=True)
    over = torch.cumsum(ordered, dim=-1) > top_p
    over[..., 1:] = over[..., :-1].clone()
    over[..., 0] = False
    ordered[over] = 0.0
    p = torch.zeros_like(p).scatter(1, indices, ordered)
    return int(torch.multinomial(p / p.sum(dim=-1, keepdim=True), num_samples=1).item())


def debug_loop(net: PlainNet, codec: Words, tokens: int, top_k: int = 40) -> str:
    """Generate tokens, and print (into memory) what the embedding of each looks like.

    Args:
        net: The network, in evaluation mode.
        codec: The words of its vocabulary.
        tokens: How many tokens to generate.
        top_k: How many of the best tokens top-k keeps; 0 for no top-k.

    Returns:
        All that was printed.
    """
    out = io.StringIO()
    ids = torch.tensor([codec.encode(PROMPT, special=True)])
    read, state = ids, None
    for _ in range(tokens):
        with torch.no_grad():
            logits, state, embeddings = net(read, state)
            vector = embeddings[0, -1]
            print("\n--- token ---", file=out)
            print(f"id: {ids[0, -1].item()}", file=out)
            print(f"embedding shape: {tuple(vector.shape)}", file=out)
            print(f"embedding norm: {vector.norm().item():.6f}", file=out)
            print(f"embedding vector: {vector.tolist()}", file=out)
            token_id = _sample(logits[:, -1, :], 0.8, top_k, 0.9)
        print(codec.piece(token_id).replace("▁", " "), end="", file=out, flush=True)
        print(f" [{token_id}]", end="", file=out, flush=True)
        read = torch.tensor([[token_id]])
        ids = torch.cat([ids, read], dim=1)
    return out.getvalue()


def forward_loop(net: PlainNet, tokens: int) -> None:
    """As many bare forward steps of one token, each after the state of the one before."""
    state = None
    with torch.no_grad():
        for token_id in range(4, 4 + tokens):
            _, state, _ = net(torch.tensor([[token_id]]), state)


def streaming(quick: bool) -> Iterator[Figure]:
    """torch with the full record against the debug loop, and against the bare forward step."""
    tokens, runs = (25, 5) if quick else (25, 41)
    for vocab_size in (512, 4000):
        ours = stream_words("torch", vocab_size, tokens)
        net = PlainNet(vocab_size).eval()
        plain = partial(debug_loop, net, Words(vocab_size), tokens)
        yield in_turns(f"torch stream / debug loop, V={vocab_size}", ours, plain, runs, 1.0)
        if vocab_size == 4000:
            name = "torch stream, times a bare forward step, V=4000"
            yield in_turns(name, ours, partial(forward_loop, net, tokens), runs, 2.2, at_least=False)
    yield from _nucleus_streaming(tokens, max(5, runs // 4))


def _nucleus_streaming(tokens: int, runs: int) -> Iterator[Figure]:
    """Measure top-p over the whole vocabulary, after an untrained (flat) model and a sharp one."""
    for vocab_size in (4000, 64_000):
        for kind, sharpness in (("flat", 1.0), ("trained", 40.0)):
            config = ModelConfig(vocab_size)
            weights = dict(initial(config, "float32"))
            weights["head.kernel"] *= np.float32(sharpness)
            model = create("torch", config, weights=weights)
            ours = stream_model(model, tokens, "Temperature(0.8) TopP(0.9)")
            net = PlainNet(vocab_size).eval()
            with torch.no_grad():
                net.head.weight.mul_(sharpness)
            plain = partial(debug_loop, net, Words(vocab_size), tokens, 0)
            name = f"torch stream with top-p alone / debug loop, {kind}, V={vocab_size}"
            yield in_turns(name, ours, plain, runs, 1.2)
