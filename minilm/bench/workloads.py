"""The work that is timed: stream from a model, train a model, both without any file to load.

The plain loops of the frameworks get the same prompt, the same codec and the same batches. A framework is
named here, never imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minilm.backends import create
from minilm.bench.measure import Work
from minilm.dice import generator
from minilm.generation import stream
from minilm.protocols import LanguageModel, Trainable
from minilm.records import Array, ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule, fit

__all__ = [
    "DROPOUT",
    "PROMPT",
    "STAGES",
    "VOCAB_SIZE",
    "FakeCodec",
    "make_batches",
    "stream_fresh",
    "stream_model",
    "train_fresh",
    "train_model",
]

PROMPT = " w10 w20 w30 w40 w50 w60 w70 w80"
STAGES = "Temperature(0.8) TopK(40) TopP(0.9)"
VOCAB_SIZE, DROPOUT = 512, 0.2  # of the trained models


class FakeCodec:
    """A TextCodec of made-up words, for a vocabulary of any size: " w17 w4" are the tokens 17 and 4.

    The first four ids are special, as in our tokenizers.

    Args:
        vocab_size: the number of tokens.
    """

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.special_ids: Mapping[str, int] = {"pad": 0, "unk": 1, "bos": 2, "eos": 3}

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a text of words; with special, BOS first.

        >>> FakeCodec(64).encode(" w17 w4", special=True)
        [2, 17, 4]
        """
        return [2] * special + [int(word[1:]) for word in text.split()]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids."""
        return "".join(self.piece_bytes(token_id).decode() for token_id in ids)

    def piece(self, token_id: int) -> str:
        """Return the word with its space written as U+2581."""
        return f"▁w{token_id}"

    def piece_bytes(self, token_id: int) -> bytes:
        """Return the word with its space, as bytes; none for the special ids."""
        return b" w%d" % token_id if token_id > 3 else b""

    def stream(self) -> _FakeDecoder:
        """Return a decoder for which every id completes its word."""
        return _FakeDecoder(self)

    def merge(self, ids: Sequence[int], text: str) -> tuple[list[int], int]:
        """Return the ids with those of the text behind them, and how many of the old ones were kept."""
        return [*ids, *self.encode(text)], len(ids)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> None:
        """Return None: there is no template."""


class _FakeDecoder:
    def __init__(self, codec: FakeCodec) -> None:
        self._codec = codec

    def push(self, token_id: int) -> str:
        return self._codec.piece_bytes(token_id).decode()

    def flush(self) -> str:
        return ""

    def copy(self) -> _FakeDecoder:
        return self


def stream_model(model: LanguageModel, tokens: int, stages: str = STAGES) -> Work:
    """Return the work of streaming `tokens` tokens, in which every Step is made and read."""
    codec = FakeCodec(model.vocab_size)

    def work() -> int:
        steps = stream(model, codec, PROMPT, stages, seed=1, max_tokens=tokens, eos_ids=())
        return sum(step.decision.chosen.id for step in steps)

    return work


def stream_fresh(backend: str, vocab_size: int, tokens: int) -> Work:
    """Return the work of streaming `tokens` tokens from a fresh LSTM (E=64, H=128)."""
    return stream_model(create(backend, ModelConfig(vocab_size)), tokens)


def make_batches(steps: int) -> list[tuple[Array, Array]]:
    """Return the inputs and targets of `steps` training steps, each (B, T) int64, as our loop meets them."""
    batches = [_made_up_batches().batch(step) for step in range(steps)]
    return [(batch.inputs, batch.targets) for batch in batches]


def train_model(model: Trainable, steps: int) -> Work:
    """Return the work of `steps` training steps on this model, without clipping or watching."""
    batches, schedule = _made_up_batches(), Schedule(1e-3, steps)
    return lambda: sum(step.loss for step in fit(model, batches, schedule, clip=None))


def train_fresh(backend: str, steps: int, dropout: float = 0) -> Work:
    """Return the work of `steps` training steps on a fresh LSTM (E=64, H=128)."""
    return train_model(create(backend, ModelConfig(VOCAB_SIZE, dropout=dropout)), steps)


def _made_up_batches() -> Batches:
    return Batches([generator(0, "bench").integers(4, VOCAB_SIZE, 100_000)], size=32, length=64)
