"""The vocabulary that a trace carries beside its logits, and what stands in for a tokenizer with it.

It names every token and has the ids of the words of the recorded stages; other texts need a tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from minilm.errors import MinilmError
from minilm.protocols import TextCodec
from minilm.sampling import Stage
from minilm.sampling.constraints.stage import Constraint
from minilm.token_text import TokenTexts

__all__ = ["NoTokenizer", "TraceVocabulary", "trace_vocabulary"]


def trace_vocabulary(
    texts: TokenTexts, size: int, stages: Sequence[Stage], codec: TextCodec
) -> dict[str, Any]:
    """Every token in hexadecimal, the names of those without bytes, and the ids of the stages' words."""
    tokens = [texts(i) for i in range(size)]
    names = {str(i): text for i, (text, raw) in enumerate(tokens) if not raw}
    heard = _Overheard(codec)
    for stage in stages:
        if not isinstance(stage, Constraint):
            stage.bind(heard)  # type: ignore[arg-type]
    return {"bytes": [raw.hex() for _, raw in tokens], "names": names, "words": heard.words}


class NoTokenizer(MinilmError):
    """What is asked needs the tokenizer, which a trace does not carry."""


class _Overheard:
    """A codec that remembers which texts it was asked to encode, and as what."""

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self.vocab_size = codec.vocab_size
        self.words: dict[str, list[int]] = {}

    def encode(self, text: str, special: bool = False) -> list[int]:
        """What the codec makes of it."""
        self.words[text] = self._codec.encode(text, special)
        return self.words[text]


class TraceVocabulary:
    """The vocabulary in a trace, where a codec is asked for: it names ids, and knows the recorded words."""

    special_ids: Mapping[str, int] = MappingProxyType({})

    def __init__(self, vocabulary: Mapping[str, Any]) -> None:
        self._bytes, self._names = vocabulary["bytes"], vocabulary["names"]
        self._words = vocabulary.get("words", {})  # older traces have none
        self.vocab_size = len(self._bytes)

    def piece(self, token_id: int) -> str:
        """What stands for a token without bytes."""
        return self._names.get(str(token_id), f"<{token_id}>")

    def piece_bytes(self, token_id: int) -> bytes:
        """The bytes of a token."""
        return bytes.fromhex(self._bytes[token_id])

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a word of the recorded stages. MinilmError for another text."""
        if text not in self._words:
            raise NoTokenizer(
                f"A trace carries no tokenizer, and its stages do not speak of {text!r:.40}; write ids"
            )
        return list(self._words[text])

    def bind(self, stage: Stage) -> Stage:
        """The stage with its words as ids. MinilmError for words that are not known, and for a constraint."""
        if isinstance(stage, Constraint):
            raise NoTokenizer(
                f"A trace carries no tokenizer, which {type(stage).__name__} needs; replay other stages"
            )
        return stage.bind(self)  # type: ignore[arg-type]
