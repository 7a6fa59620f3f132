"""Train a SentencePiece BPE tokenizer with the course's settings.

The default settings are lossless: nothing is normalized and every byte has a piece, so the bytes of the
pieces, joined, are the text. SentencePiece learns line by line, so a newline is always a piece of its own.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from tokenizer.codec import Tokenizer
from tokenizer.corpus import FilePath, check_texts, read_blocks, take_sample
from tokenizer.errors import TokenizerError

__all__ = ["SETTINGS", "train"]

_COMMON: dict[str, Any] = {
    "model_type": "bpe",
    "byte_fallback": True,
    "character_coverage": 1.0,
    # The number is stored in the model, and several threads may give different files for equal input.
    "num_threads": 1,
    "pad_id": 0,
    "unk_id": 1,
    "bos_id": 2,
    "eos_id": 3,
    # A vocabulary larger than the text allows is lowered, not refused.
    "hard_vocab_limit": False,
    "minloglevel": 2,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "lossless": {
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
    },
    "nfkc": {"normalization_rule_name": "nfkc"},
}


def train(
    files: FilePath | Iterable[FilePath] | None = None,
    *,
    lines: Iterable[str] | None = None,
    vocab_size: int = 2000,
    settings: str = "lossless",
    strict: bool = False,
    seed: int = 0,
    out: FilePath | None = None,
) -> Tokenizer:
    """Learn a vocabulary from UTF-8 files or from texts. Equal input gives byte-identical models.

    Args:
        files: one path or several; give either these or `lines`.
        lines: texts, in any number of parts.
        vocab_size: how many pieces to learn. If the text allows fewer, the number is lowered and `notices` of
            the result says so.
        settings: "lossless" (every text decodes to itself) or "nfkc" (folds runs of spaces and look-alikes
            such as ﬁ and fi).
        strict: refuse a vocab_size that the text does not allow, instead of lowering it.
        seed: which sample to take of a text above 50 MB.
        out: where to save the model; None saves nothing. An existing file is refused.

    Raises:
        TokenizerError: if an argument is wrong, a file cannot be read, or there is nothing to learn from.

    >>> train(lines=["to be or not to be"] * 2, vocab_size=275).encode("to be")
    [261, 262]
    """
    _check_arguments(files, lines, vocab_size, settings, out)
    source = read_blocks(_as_list(files)) if files is not None else check_texts(lines or ())
    kept, sampling = take_sample(source, seed)
    if not any(kept):
        raise TokenizerError(
            "there is nothing to learn from: the text is empty; give a text with letters in it"
        )
    model = _learn(kept, vocab_size, SETTINGS[settings])
    tokenizer = Tokenizer(model, notices=(sampling,) if sampling else ())
    if tokenizer.vocab_size < vocab_size:
        tokenizer = _note_lowered_size(tokenizer, vocab_size, strict)
    if out is not None:
        tokenizer.save(out)
    return tokenizer


def _as_list(files: FilePath | Iterable[FilePath]) -> Iterable[FilePath]:
    return [files] if isinstance(files, (str, os.PathLike)) else files


def _learn(kept: Sequence[str], vocab_size: int, settings: Mapping[str, Any]) -> bytes:
    """Return the bytes of the model that SentencePiece learns; rewrite its errors in plain words."""
    model = io.BytesIO()
    sizes = {"vocab_size": min(vocab_size, 2**31 - 1)}
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(kept), model_writer=model, **_COMMON, **sizes, **settings
        )
    except (RuntimeError, OSError) as error:
        if least := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
            raise TokenizerError(
                f"vocab_size must be at least {least[1]} for this text (4 special pieces, 256 bytes, and "
                f"each of its characters), got {vocab_size}"
            ) from None
        if "sentences_.empty" in str(error):
            raise TokenizerError(
                "there is nothing to learn from: the text is only whitespace; give a text with letters in it"
            ) from None
        raise TokenizerError(f"SentencePiece cannot train on this text: {error}; try another text") from None
    return model.getvalue()


def _note_lowered_size(tokenizer: Tokenizer, asked: int, strict: bool) -> Tokenizer:
    """Return the tokenizer with a notice that its vocabulary is smaller than asked; refuse it if strict."""
    largest = tokenizer.vocab_size
    if strict:
        raise TokenizerError(
            f"vocab_size {asked:,} is too large for this text: it allows {largest:,}; "
            "give more text, or a smaller vocab_size"
        )
    notice = f"vocabulary lowered from {asked:,} to {largest:,}, the largest this text allows"
    return Tokenizer(tokenizer.model_bytes, notices=(*tokenizer.notices, notice))


def _check_arguments(
    files: object, lines: object, vocab_size: object, settings: str, out: FilePath | None
) -> None:
    if (files is None) == (lines is None):
        raise TokenizerError("train takes either files or lines, got both or neither; give one of them")
    if not isinstance(vocab_size, int) or isinstance(vocab_size, bool) or vocab_size < 1:
        raise TokenizerError(f"vocab_size must be a whole number above 0, got {vocab_size!r}")
    if settings not in SETTINGS:
        raise TokenizerError(f"settings must be one of {', '.join(SETTINGS)}, got {settings!r}")
    if out is not None and Path(out).exists():
        raise TokenizerError(f"{out} already exists; name another file, or remove it first")
    if out is not None and not Path(out).absolute().parent.is_dir():
        raise TokenizerError(f"the folder of {out} does not exist; make it first")
