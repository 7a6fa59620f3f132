"""Tokenizer: training on 20 MB of made-up text, ours against the SentencePiece library alone.

The words of the text are like those of a language: made of syllables, with frequencies that follow Zipf's
law.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sentencepiece

import tokenizer
from minilm.bench.measure import Figure, in_turns
from minilm.dice import generator

__all__ = ["measure_tokenizer"]

_SYLLABLES = [
    first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "or")
]
_WORDS, _WORDS_A_LINE, _VOCAB_SIZE = 20_000, 12, 2000


def _write_text(path: Path, size: int) -> None:
    """Write at least `size` bytes of lines. Equal sizes give equal texts."""
    rng = generator(0, "bench text")
    lengths = rng.integers(1, 5, _WORDS)
    words = np.array(["".join(rng.choice(_SYLLABLES, length)) for length in lengths])
    share = 1 / np.arange(1, _WORDS + 1)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while file.tell() < size:
            picked = rng.choice(words, (2000, _WORDS_A_LINE), p=share / share.sum())
            file.writelines(" ".join(line) + "\n" for line in picked)


def _train_alone(path: Path) -> None:
    sentencepiece.SentencePieceTrainer.train(
        input=str(path),
        model_writer=io.BytesIO(),
        vocab_size=_VOCAB_SIZE,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        num_threads=1,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
    )


def measure_tokenizer(quick: bool) -> Iterator[Figure]:
    """Measure how many times as long our training takes."""
    megabytes, runs = (0.3, 3) if quick else (20, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        _write_text(path, int(megabytes * 1_000_000))

        def ours() -> object:
            return tokenizer.train([path], vocab_size=_VOCAB_SIZE)

        name = f"SentencePiece training on {megabytes:g} MB, times the bare library"
        yield in_turns(name, ours, lambda: _train_alone(path), runs, 1.2, at_least=False)
