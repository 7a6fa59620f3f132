"""Our model as a transformers tokenizer, exactly; and any transformers tokenizer as a codec.

transformers and tokenizers are imported only when asked for: the core install has neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizer.bpe import Encoder
from tokenizer.codec import Tokenizer, checked_text, merged
from tokenizer.errors import TokenizerError
from tokenizer.model_file import NORMAL
from tokenizer.stream import ByteDecoder

__all__ = ["TransformersCodec", "from_transformers", "to_transformers"]


def to_transformers(tokenizer: Tokenizer) -> Any:
    """The same tokenizer for transformers: equal ids on every text; `save_pretrained` keeps it.

    The pieces hold spaces instead of U+2581, so that a U+2581 of the text stays one. Texts begin with BOS, as
    encode(special=True) does; special tokens written in a text are only text. Lossless models alone.
    """
    if not tokenizer.model.lossless or not tokenizer.model.bpe:
        raise TokenizerError("only a lossless BPE model converts exactly; train one with settings='lossless'")
    from tokenizers import Tokenizer as Fast
    from tokenizers import decoders, models, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {_text(tokenizer, token_id): token_id for token_id in range(tokenizer.vocab_size)}
    names = {name: tokenizer.piece(token_id) for name, token_id in tokenizer.special_ids.items()}
    fast = Fast(models.BPE(vocabulary, _merges(tokenizer), unk_token=names["unk"], byte_fallback=True))
    fast.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    if "bos" in names:
        begin = (names["bos"], tokenizer.special_ids["bos"])
        fast.post_processor = processors.TemplateProcessing(f"{begin[0]} $A", special_tokens=[begin])
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        clean_up_tokenization_spaces=False,
        split_special_tokens=True,
        **{f"{name}_token": piece for name, piece in names.items()},
    )


def _text(tokenizer: Tokenizer, token_id: int) -> str:
    return tokenizer.piece(token_id).replace("\u2581", " ")


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """One pair per piece, by rank: the last merge when the piece itself is encoded.

    A piece may have other splits, but no text reaches them: what happens within the span of a piece does
    not depend on what stands around it, as long as nothing crosses its border. So one pair is exact.
    """
    encoder = Encoder(tokenizer)
    pieces = [p for p in tokenizer.model.pieces if p.kind == NORMAL and len(p.text) > 1]
    merges = []
    for piece in sorted(pieces, key=lambda piece: -piece.score):
        symbols: list[str] = []
        steps = list(encoder.steps(piece.text.replace("\u2581", " "), symbols))
        if len(symbols) == 1:
            merges.append(steps[-1].pair)
    return merges


def from_transformers(tokenizer: Any) -> TransformersCodec:
    """A codec around a transformers tokenizer that has a fast backend (all of version 5 that matter here)."""
    return TransformersCodec(tokenizer)


class TransformersCodec:
    """minilm's TextCodec over a transformers tokenizer; exact bytes for byte-level and SentencePiece kinds.

    special_ids: of pad, unk, bos and eos where the tokenizer has them, and of every other special token by
    its own text.
    """

    special_ids: Mapping[str, int]
    vocab_size: int

    def __init__(self, tokenizer: Any) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise TokenizerError(
                f"{type(tokenizer).__name__} has no fast backend; open it with AutoTokenizer"
            )
        self.transformers = tokenizer
        self.vocab_size = len(tokenizer)
        roles = {name: getattr(tokenizer, f"{name}_token_id") for name in ("pad", "unk", "bos", "eos")}
        roles = {name: token_id for name, token_id in roles.items() if token_id is not None}
        others = set(tokenizer.all_special_ids) - set(roles.values())
        self.special_ids = roles | {tokenizer.convert_ids_to_tokens(i): i for i in sorted(others)}
        spelling = _Spelling(json.loads(backend.to_str()))
        self._drop_spaces = spelling.drop_spaces
        special = set(self.special_ids.values())
        added = tokenizer.get_added_vocab()
        tokens = tokenizer.convert_ids_to_tokens(list(range(self.vocab_size)))
        self._pieces = tuple(token if token is not None else "" for token in tokens)
        self._bytes = tuple(
            b"" if number in special else piece.encode() if piece in added else spelling.bytes_of(piece)
            for number, piece in enumerate(self._pieces)
        )
        self._begin = self._beginning()

    def __repr__(self) -> str:
        return f"TransformersCodec({type(self.transformers).__name__}, {self.vocab_size} pieces)"

    def encode(self, text: str, special: bool = False) -> list[int]:
        """The ids of a text; with special, what the tokenizer itself puts before a text.

        Special tokens written in the text are only text. An empty text begins with BOS where there is one,
        for a model must read something.
        """
        ids = self.transformers(checked_text(text), add_special_tokens=False, split_special_tokens=True)
        ids = list(ids["input_ids"])
        if not special:
            return ids
        begin = list(self._begin)
        if not ids and not begin and "bos" in self.special_ids:
            begin = [self.special_ids["bos"]]
        return begin + ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens are left out, broken UTF-8 becomes U+FFFD."""
        decoder = self.stream()
        return "".join([decoder.push(int(token_id)) for token_id in ids]) + decoder.flush()

    def piece(self, token_id: int) -> str:
        """The token's string in the vocabulary, as transformers shows it."""
        return self._pieces[self._checked(token_id)]

    def piece_bytes(self, token_id: int) -> bytes:
        """The bytes that the token adds to the text; empty for special tokens."""
        return self._bytes[self._checked(token_id)]

    def stream(self) -> ByteDecoder:
        """A decoder at the start of a text; it drops the space that the tokenizer itself put there."""
        return ByteDecoder(self.piece_bytes, self._drop_spaces)

    def merge(self, ids: Sequence[int], text: str) -> tuple[list[int], int]:
        """The ids of a context with text added, tokenized as a whole, and how many of ids were kept."""
        return merged(self, ids, text)

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """The ids of a conversation, the answer begun; None where the tokenizer has no chat template."""
        if not getattr(self.transformers, "chat_template", None):
            return None
        try:
            return list(
                self.transformers.apply_chat_template(
                    list(messages), tokenize=True, add_generation_prompt=True, return_dict=False
                )
            )
        except Exception as error:  # templates are programs of the model's makers and raise what they like
            reason = " ".join(str(error).split())
            raise TokenizerError(f"the chat template refuses these messages: {reason}; mend them") from None

    def _beginning(self) -> tuple[int, ...]:
        """What the tokenizer puts before a text, seen on a text of one letter."""
        plain = self.transformers("a", add_special_tokens=False)["input_ids"]
        whole = self.transformers("a", add_special_tokens=True)["input_ids"]
        for at in range(len(whole) - len(plain) + 1):
            if whole[at : at + len(plain)] == plain:
                return tuple(whole[:at])
        return ()

    def _checked(self, token_id: int) -> int:
        if 0 <= token_id < self.vocab_size:
            return token_id
        raise TokenizerError(f"ids go from 0 to {self.vocab_size - 1}, got {token_id}")


class _Spelling:
    """How a tokenizer spells bytes in its pieces, read from its decoder."""

    def __init__(self, backend: Mapping[str, Any]) -> None:
        steps = _steps(backend.get("decoder"))
        kinds = {step["type"] for step in steps}
        self._letters = _byte_letters() if "ByteLevel" in kinds else None
        self._byte_fallback = "ByteFallback" in kinds
        replaced = [step for step in steps if step["type"] == "Replace" and step["content"] == " "]
        self._space = next((step["pattern"].get("String") for step in replaced), None)
        self.drop_spaces = sum(step.get("start", 0) for step in steps if step["type"] == "Strip")
        for step in steps:
            if step["type"] == "Metaspace":
                self._space = step["replacement"]
                self.drop_spaces = int(step.get("prepend_scheme", "always") != "never")

    def bytes_of(self, piece: str) -> bytes:
        """The bytes that a piece stands for."""
        if self._letters is not None and all(letter in self._letters for letter in piece):
            return bytes(self._letters[letter] for letter in piece)
        if self._byte_fallback and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return (piece.replace(self._space, " ") if self._space else piece).encode()


def _steps(decoder: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if decoder is None:
        return []
    return list(decoder["decoders"]) if decoder["type"] == "Sequence" else [decoder]


def _byte_letters() -> dict[str, int]:
    """GPT-2's alphabet (Radford et al., 2019): a printable letter for each byte.

    >>> _byte_letters()["\u0120"], _byte_letters()["A"]
    (32, 65)
    """
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(0xAE, 0x100)]
    hidden = [value for value in range(256) if value not in shown]
    return {chr(value): value for value in shown} | {chr(256 + n): value for n, value in enumerate(hidden)}
