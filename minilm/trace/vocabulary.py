"""The vocabulary in a trace that has logits, and the small codec that a replay makes of it.

The vocabulary names every token, and has the ids of the words in the recorded stages, such as
BadWords(['fox']). Any other text needs a tokenizer, which a trace does not carry.
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
    """Return the vocabulary line of a trace, as its JSON value.

    Args:
        texts: Gives the text and the bytes of an id.
        size: Number of tokens V.
        stages: The stages of the run, whose words are written too.
        codec: The tokenizer.

    Returns:
        `bytes`, the bytes of every token in hexadecimal; `names`, the names of the tokens without bytes;
        `words`, the ids of every word of the stages.
    """
    tokens = [texts(i) for i in range(size)]
    names = {str(i): text for i, (text, raw) in enumerate(tokens) if not raw}
    # Binding a stage asks the codec for the ids of its words, so the recorder hears all of them.
    recorder = _WordRecorder(codec)
    for stage in stages:
        if not isinstance(stage, Constraint):
            stage.bind(recorder)  # type: ignore[arg-type]
    return {"bytes": [raw.hex() for _, raw in tokens], "names": names, "words": recorder.words}


class NoTokenizer(MinilmError):
    """Raised where something needs the tokenizer, which a trace does not carry."""


class _WordRecorder:
    """A codec that remembers which texts it was asked to encode, and as what."""

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self.vocab_size = codec.vocab_size
        self.words: dict[str, list[int]] = {}

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a text, and remember them."""
        self.words[text] = self._codec.encode(text, special)
        return self.words[text]


class TraceVocabulary:
    """The vocabulary of a trace as a codec: it names ids, and knows the words of the recorded stages.

    Args:
        vocabulary: The JSON value of the vocabulary line.
    """

    special_ids: Mapping[str, int] = MappingProxyType({})

    def __init__(self, vocabulary: Mapping[str, Any]) -> None:
        self._bytes, self._names = vocabulary["bytes"], vocabulary["names"]
        self._words = vocabulary.get("words", {})  # older traces have none
        self.vocab_size = len(self._bytes)

    def piece(self, token_id: int) -> str:
        """Return the name of a token without bytes."""
        return self._names.get(str(token_id), f"<{token_id}>")

    def piece_bytes(self, token_id: int) -> bytes:
        """Return the bytes of a token."""
        return bytes.fromhex(self._bytes[token_id])

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a word of the recorded stages. Raises NoTokenizer for any other text."""
        if text not in self._words:
            raise NoTokenizer(
                f"A trace carries no tokenizer, and {text!r:.40} is no word of its stages; write ids"
            )
        return list(self._words[text])

    def bind(self, stage: Stage) -> Stage:
        """Return a stage with its words as ids. Raises NoTokenizer for unknown words and for a constraint."""
        if isinstance(stage, Constraint):
            raise NoTokenizer(
                f"A trace carries no tokenizer, which {type(stage).__name__} needs; replay other stages"
            )
        return stage.bind(self)  # type: ignore[arg-type]
