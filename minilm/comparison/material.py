"""The material of a comparison: weights, a tokenizer and a text, from files or made fresh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizer
from minilm import backends
from minilm.frozen import one_line
from minilm.protocols import TextCodec
from minilm.records import Array, ModelConfig
from minilm.training.batches import Batch, Batches, encode_documents
from minilm.training.corpus import from_files, from_storyland

__all__ = ["Material", "prepare_material"]

# Enough stories for the batches of a comparison, and read in a moment.
STORIES = 200

VOCABULARY = 400


@dataclass(frozen=True, eq=False)
class Material:
    """What several backends are compared on.

    Attributes:
        codec: the tokenizer.
        documents: the texts that are trained on.
        config: the sizes of a saved model, or None where a fresh one is made.
        weights: its canonical arrays, or None.
    """

    codec: TextCodec
    documents: Sequence[str]
    config: ModelConfig | None = None
    weights: Mapping[str, Array] | None = None

    __repr__ = one_line

    def draw_batches(self, steps: int, rows: int, length: int, seed: int = 0) -> Iterator[Batch]:
        """Yield one batch for each training step.

        Args:
            steps: how many.
            rows: rows of a batch.
            length: tokens of a row.
            seed: the seed of their order.
        """
        batches = Batches(encode_documents(self.codec, self.documents), rows, length, seed)
        return (batches.batch(step) for step in range(steps))


def prepare_material(files: Sequence[str] = (), folder: str | Path | None = None, seed: int = 0) -> Material:
    """Return the material of a comparison.

    Args:
        files: UTF-8 texts; without any, made-up stories.
        folder: a model folder for weights and tokenizer; None trains a tokenizer on the text.
        seed: the seed of the stories.
    """
    corpus = from_files(files) if files else from_storyland(STORIES, seed, 1)
    if folder is None:
        return Material(tokenizer.train(lines=corpus.train, vocab_size=VOCABULARY), corpus.train)
    model = backends.load(folder, "numpy")
    codec = tokenizer.load(Path(folder) / "tokenizer.model")
    return Material(codec, corpus.train, model.config, dict(model.weights()))
