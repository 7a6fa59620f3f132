"""Our side of the streaming figures: a random LSTM of 128 units, streamed with the full record.

Frameworks are named here, never imported.
"""

from __future__ import annotations

from minilm.backends import create
from minilm.bench.measure import Work
from minilm.bench.words import Words
from minilm.generation import stream
from minilm.protocols import LanguageModel
from minilm.records import ModelConfig

__all__ = ["PROMPT", "STAGES", "stream_model", "stream_words"]

PROMPT = " w10 w20 w30 w40 w50 w60 w70 w80"
STAGES = "Temperature(0.8) TopK(40) TopP(0.9)"


def stream_model(model: LanguageModel, tokens: int, stages: str = STAGES) -> Work:
    """Return the work of streaming so many tokens from a model, every Step made and read."""
    codec = Words(model.vocab_size)

    def work() -> int:
        steps = stream(model, codec, PROMPT, stages, seed=1, max_tokens=tokens, eos_ids=())
        return sum(step.decision.chosen.id for step in steps)

    return work


def stream_words(backend: str, vocab_size: int, tokens: int) -> Work:
    """The same from a fresh LSTM: E=64, H=128."""
    return stream_model(create(backend, ModelConfig(vocab_size)), tokens)
