"""Training a tokenizer on 20 MB of made-up text: ours against the bare SentencePiece library.

The text has words as a language has them: syllables, and frequencies by Zipf's law.
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

__all__ = ["figures", "write_text"]

_SYLLABLES = [
    first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "or")
]
_WORDS, _WORDS_A_LINE, _VOCAB_SIZE = 20_000, 12, 2000


def write_text(path: Path, size: int) -> None:
    """Write at least `size` bytes of lines, a pure function of the size."""
    rng = generator(0, "bench text")
    lengths = rng.integers(1, 5, _WORDS)
    words = np.array(["".join(rng.choice(_SYLLABLES, length)) for length in lengths])
    share = 1 / np.arange(1, _WORDS + 1)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while file.tell() < size:
            picked = rng.choice(words, (2000, _WORDS_A_LINE), p=share / share.sum())
            file.writelines(" ".join(line) + "\n" for line in picked)


def _bare(path: Path) -> None:
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


def figures(quick: bool) -> Iterator[Figure]:
    """How many times as long our training takes."""
    megabytes, runs = (0.3, 3) if quick else (20, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        write_text(path, int(megabytes * 1_000_000))

        def ours() -> object:
            return tokenizer.train([path], vocab_size=_VOCAB_SIZE)

        name = f"SentencePiece training on {megabytes:g} MB, times the bare library"
        yield in_turns(name, ours, lambda: _bare(path), runs, 1.2, at_least=False)
