"""PyTorch: what anyone would write without minilm, and how ours compares with it.

The debug loop prints id, embedding shape, norm and vector of every token and samples with temperature, top-k
and top-p; it reads the whole prompt. The training loop is nn.LSTM, cross entropy and torch.optim.Adam.
tensorflow.py says the same in TensorFlow's words.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from minilm.backends import create
from minilm.backends.processes import this_worker
from minilm.backends.torch import distributed
from minilm.bench.measure import Figure, Work, in_turns
from minilm.bench.workloads import (
    DROPOUT,
    PROMPT,
    VOCAB_SIZE,
    FakeCodec,
    make_batches,
    stream_fresh,
    stream_model,
    train_fresh,
    train_model,
)
from minilm.doctor.torch.attach import attach
from minilm.errors import MinilmError
from minilm.records import ModelConfig
from minilm.weights import initial_weights

__all__ = [
    "PlainNet",
    "debug_loop",
    "forward_loop",
    "measure_doctor",
    "measure_processes",
    "measure_streaming",
    "measure_training",
    "train_plain",
]

_THIS_MODULE = "minilm.bench.torch"  # __name__ is "__main__" in a worker
_JOB_SECONDS = 900  # the longest time for the job of two workers


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
        """Return the logits, the state after the ids, and the embeddings of the ids."""
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


def debug_loop(net: PlainNet, codec: FakeCodec, tokens: int, top_k: int = 40) -> str:
    """Generate tokens and print, into memory, what the embedding of each looks like.

    Args:
        net: the network, in evaluation mode.
        codec: the codec of its vocabulary.
        tokens: how many tokens to generate.
        top_k: how many of the best tokens top-k keeps; 0 for no top-k.

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
    """Run `tokens` forward steps of one token, each with the state of the step before."""
    state = None
    with torch.no_grad():
        for token_id in range(4, 4 + tokens):
            _, state, _ = net(torch.tensor([[token_id]]), state)


def measure_streaming(quick: bool) -> Iterator[Figure]:
    """Measure streaming with the full record against the debug loop, and against bare forward steps."""
    tokens, runs = (25, 5) if quick else (25, 41)
    for vocab_size in (512, 4000):
        ours = stream_fresh("torch", vocab_size, tokens)
        net = PlainNet(vocab_size).eval()
        plain = partial(debug_loop, net, FakeCodec(vocab_size), tokens)
        yield in_turns(f"torch stream / debug loop, V={vocab_size}", ours, plain, runs, 1.0)
        if vocab_size == 4000:
            name = "torch stream, times a bare forward step, V=4000"
            yield in_turns(name, ours, partial(forward_loop, net, tokens), runs, 2.2, at_least=False)
    yield from _measure_top_p_alone(tokens, max(5, runs // 4))


def _measure_top_p_alone(tokens: int, runs: int) -> Iterator[Figure]:
    """Measure top-p over the whole vocabulary, after an untrained (flat) model and a sharp one."""
    for vocab_size in (4000, 64_000):
        for kind, sharpness in (("flat", 1.0), ("trained", 40.0)):
            config = ModelConfig(vocab_size)
            weights = dict(initial_weights(config, "float32"))
            weights["head.kernel"] *= np.float32(sharpness)
            model = create("torch", config, weights=weights)
            ours = stream_model(model, tokens, "Temperature(0.8) TopP(0.9)")
            net = PlainNet(vocab_size).eval()
            with torch.no_grad():
                net.head.weight.mul_(sharpness)
            plain = partial(debug_loop, net, FakeCodec(vocab_size), tokens, 0)
            name = f"torch stream with top-p alone / debug loop, {kind}, V={vocab_size}"
            yield in_turns(name, ours, plain, runs, 1.2)


def train_plain(steps: int, dropout: float = 0) -> Work:
    """Return the work of `steps` training steps on a fresh net; it reads the loss at every step, as ours."""
    net = PlainNet(VOCAB_SIZE, dropout=dropout).train()
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    prepared = make_batches(steps)

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


def measure_training(quick: bool) -> Iterator[Figure]:
    """Measure training steps per second, ours over the plain loop, without dropout and with it."""
    steps, runs = (2, 3) if quick else (5, 21)
    yield in_turns("torch training / plain loop", train_fresh("torch", steps), train_plain(steps), runs, 0.95)
    ours, plain = train_fresh("torch", steps, DROPOUT), train_plain(steps, DROPOUT)
    yield in_turns("torch training / plain loop, with dropout", ours, plain, runs, None)


def measure_doctor(quick: bool) -> Iterator[Figure]:
    """Measure 25 training steps with the doctor attached, over those without; 25 % more time is allowed."""
    steps, runs = (5, 3) if quick else (25, 5)
    plain = train_plain(steps)
    yield in_turns("torch loop with the doctor / alone", _watch(plain), plain, runs, 1.25, at_least=False)


def _watch(work: Work) -> Work:
    def watched() -> object:
        with attach():
            return work()

    return watched


def measure_processes(quick: bool) -> Iterator[Figure]:
    """Measure training steps per second of two torchrun processes over those of one, a thread each.

    Both run inside one job of two workers, in turns: while the first trains alone, the other waits for it.
    """
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*start, "-m", _THIS_MODULE, *(["quick"] if quick else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_JOB_SECONDS)
    if done.returncode:
        raise MinilmError(f"torchrun ended with {done.returncode}: {done.stderr.strip()[-300:]!r}")
    yield Figure(**json.loads(done.stdout.splitlines()[-1]))


def _measure_in_a_worker(quick: bool) -> None:
    steps, runs = (2, 3) if quick else (5, 21)
    torch.set_num_threads(1)
    model: Any = distributed.create(ModelConfig(VOCAB_SIZE))
    alone: Work = int
    if this_worker().leads:
        alone = train_model(create("torch", ModelConfig(VOCAB_SIZE)), steps)
    figure = in_turns("torch training, 2 processes / 1", train_model(model, steps), alone, runs, 1.2)
    distributed.finish()
    if this_worker().leads:
        print(json.dumps(asdict(figure)))


if __name__ == "__main__":
    _measure_in_a_worker("quick" in sys.argv)
