"""Prepare a comparison of backends: equal weights, a tokenizer and batches, from files or made fresh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minilm import backends
from minilm.comparison.backends import ParityStep, create_models, train_side_by_side
from minilm.comparison.lockstep import TextPair, compare_texts
from minilm.frozen import one_line
from minilm.protocols import TextCodec, Trainable
from minilm.records import Array, ModelConfig
from minilm.shadows import check_tokenizer
from minilm.training.batches import Batches, encode_documents
from minilm.training.corpus import from_files, from_storyland

__all__ = ["Comparison", "prepare_comparison"]

# Enough stories for the batches of a comparison, and read in a moment.
STORIES = 200

VOCABULARY = 400


@dataclass(frozen=True, eq=False)
class Comparison:
    """Backends with equal weights, ready to be trained on the same batches.

    Attributes:
        models: one for each backend; the first is the reference.
        codec: the tokenizer of all.
        batches: what they are trained on.
        steps: how many training steps are compared.
        rate: Adam's learning rate.
        clip: the bound of the global gradient norm.
        seed: the seed of the draws.
        config: the sizes of the models.
        weights: the canonical arrays that all models begin with.
    """

    models: Sequence[Trainable]
    codec: TextCodec
    batches: Batches
    steps: int
    rate: float
    clip: float | None
    seed: int
    config: ModelConfig
    weights: Mapping[str, Array]

    __repr__ = one_line

    def train(self) -> Iterator[ParityStep]:
        """Train the models, and yield a record for each step of each backend but the first."""
        batches = map(self.batches.batch, range(self.steps))
        return train_side_by_side(self.models, batches, self.rate, self.clip)

    def measure_rounding(self) -> Iterator[ParityStep]:
        """Train fresh models in float64, and the reference in float32 beside them.

        Yields:
            A record for each step of each backend, compared with the reference in float64. The records of
            the reference's own name are its rounding in float32.
        """
        names = [model.name for model in self.models]
        exact = create_models(names, self.config, "float64", weights=self.weights)
        rounded = backends.create(names[0], self.config, "float32", weights=self.weights)
        batches = map(self.batches.batch, range(self.steps))
        yield from train_side_by_side([*exact, rounded], batches, self.rate, self.clip)

    def write(self, prompt: str, max_tokens: int = 40) -> Iterator[TextPair]:
        """Let every model continue a text as it is now, and yield each text beside the first one's.

        Args:
            prompt: the text that they continue.
            max_tokens: the most new tokens.
        """
        return compare_texts(self.models, self.codec, prompt, seed=self.seed, max_tokens=max_tokens)


def prepare_comparison(
    names: Sequence[str] | None = None,
    steps: int = 20,
    *,
    files: Sequence[str] = (),
    folder: str | Path | None = None,
    sizes: tuple[int, int, int] = (32, 64, 1),
    rows: int = 8,
    length: int = 32,
    rate: float = 1e-3,
    clip: float | None = 1.0,
    seed: int = 0,
    dtype: str = "float32",
    device: str = "cpu",
) -> Comparison:
    """Create the models and the batches of a comparison.

    Args:
        names: two or more backends, the reference first; None takes all that are installed.
        steps: how many training steps to compare.
        files: UTF-8 texts for the batches; without any, made-up stories.
        folder: a model folder for weights and tokenizer; None makes fresh ones.
        sizes: embedding size, hidden size and LSTM layers of a fresh model.
        rows: rows of a batch.
        length: tokens of a row.
        rate: Adam's learning rate.
        clip: the bound of the global gradient norm; None clips nothing.
        seed: the seed of weights, batches and draws.
        dtype: "float32" or "float64".
        device: where the frameworks run; NumPy stays on the CPU.
    """
    check_tokenizer()
    import tokenizer

    corpus = from_files(files) if files else from_storyland(STORIES, seed, 1)
    if folder is None:
        codec, weights = tokenizer.train(lines=corpus.train, vocab_size=VOCABULARY), None
        config = ModelConfig(codec.vocab_size, *sizes, seed=seed)
    else:
        saved = backends.load(folder, "numpy")
        codec, config, weights = (
            tokenizer.load(Path(folder) / "tokenizer.model"), saved.config, dict(saved.weights())
        )  # fmt: skip
    models = create_models(names or backends.available(), config, dtype, device=device, weights=weights)
    batches = Batches(encode_documents(codec, corpus.train), rows, length, seed)
    begin = {name: np.array(array) for name, array in models[0].weights().items()}
    return Comparison(models, codec, batches, steps, rate, clip, seed, config, begin)
