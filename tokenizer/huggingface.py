"""Convert our tokenizer to transformers, and use any transformers tokenizer as a codec.

transformers and tokenizers are imported inside the functions, because the core install has neither.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizer.bpe import Encoder
from tokenizer.codec import SPACE_MARK, Tokenizer, check_text
from tokenizer.errors import TokenizerError
from tokenizer.model_file import NORMAL
from tokenizer.stream import ByteCodec

__all__ = ["TransformersCodec", "from_transformers", "to_transformers"]


def to_transformers(tokenizer: Tokenizer) -> Any:
    """Return the same tokenizer for transformers: it gives equal ids on every text.

    The pieces hold spaces instead of U+2581, so that a U+2581 in a text stays one. A text begins with BOS, as
    with encode(special=True); special tokens written in a text are only text.

    Args:
        tokenizer: a tokenizer with a lossless BPE model.

    Returns:
        A PreTrainedTokenizerFast; its `save_pretrained` writes it.

    Raises:
        TokenizerError: if the model is not a lossless BPE model.
    """
    if not tokenizer.model.lossless or not tokenizer.model.bpe:
        raise TokenizerError("only a lossless BPE model converts exactly; train one with settings='lossless'")
    from tokenizers import Tokenizer as Fast
    from tokenizers import decoders, models, processors
    from transformers import PreTrainedTokenizerFast

    pieces = enumerate(tokenizer.model.pieces)
    vocabulary = {piece.text.replace(SPACE_MARK, " "): token_id for token_id, piece in pieces}
    names = {name: tokenizer.piece(token_id) for name, token_id in tokenizer.special_ids.items()}
    fast = Fast(models.BPE(vocabulary, _find_merges(tokenizer), unk_token=names["unk"], byte_fallback=True))
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


def _find_merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    """Return one pair per piece, by rank: the last merge when the piece itself is encoded.

    A piece may have other splits, but no text reaches them: as long as no merge crosses the border of a
    piece, the merges inside it do not depend on the text around it. So one pair is exact.
    """
    encoder = Encoder(tokenizer)
    learned = [p for p in tokenizer.model.pieces if p.kind == NORMAL and len(p.text) > 1]
    learned.sort(key=lambda piece: -piece.score)
    explanations = [encoder.explain(piece.text.replace(SPACE_MARK, " ")) for piece in learned]
    return [found.merges[-1].pair for found in explanations if len(found.pieces) == 1]


def from_transformers(tokenizer: Any) -> TransformersCodec:
    """Return a codec around a transformers tokenizer that has a fast backend.

    Raises:
        TokenizerError: if it has none.
    """
    return TransformersCodec(tokenizer)


class TransformersCodec(ByteCodec):
    """A transformers tokenizer with all that minilm's TextCodec asks for.

    The bytes of pieces are exact for tokenizers of the byte-level and of the SentencePiece kind.

    Args:
        tokenizer: a transformers tokenizer with a fast backend.

    Attributes:
        special_ids: the ids of pad, unk, bos and eos where the tokenizer has them, and of every other special
            token by its own text.
        transformers: the tokenizer as given.
    """

    special_ids: Mapping[str, int]
    vocab_size: int

    def __init__(self, tokenizer: Any) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise TokenizerError(
                f"{type(tokenizer).__name__} has no fast backend; open the tokenizer with AutoTokenizer"
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
        self._begin = self._find_begin()

    def __repr__(self) -> str:
        return f"TransformersCodec({type(self.transformers).__name__}, {self.vocab_size} pieces)"

    def encode(self, text: str, special: bool = False) -> list[int]:
        """Return the ids of a text.

        Args:
            text: the text; special tokens written in it are only text.
            special: put the tokens first that the tokenizer itself puts before a text. If it puts none before
                an empty text, BOS is taken where there is one, because a model must read something.
        """
        ids = self.transformers(check_text(text), add_special_tokens=False, split_special_tokens=True)
        ids = list(ids["input_ids"])
        if not special:
            return ids
        begin = list(self._begin)
        if not ids and not begin and "bos" in self.special_ids:
            begin = [self.special_ids["bos"]]
        return begin + ids

    def chat(self, messages: Sequence[Mapping[str, str]]) -> list[int] | None:
        """Return the ids of a conversation up to where the answer begins; None without a chat template."""
        if not getattr(self.transformers, "chat_template", None):
            return None
        try:
            return list(
                self.transformers.apply_chat_template(
                    list(messages), tokenize=True, add_generation_prompt=True, return_dict=False
                )
            )
        except Exception as error:
            # A template is a program of the model's makers and may raise anything.
            reason = " ".join(str(error).split())
            raise TokenizerError(f"the chat template refuses these messages: {reason}; change them") from None

    def _find_begin(self) -> tuple[int, ...]:
        """Return the ids that the tokenizer puts before a text, found with a text of one letter."""
        plain = self.transformers("a", add_special_tokens=False)["input_ids"]
        whole = self.transformers("a", add_special_tokens=True)["input_ids"]
        for at in range(len(whole) - len(plain) + 1):
            if whole[at : at + len(plain)] == plain:
                return tuple(whole[:at])
        return ()


class _Spelling:
    """The spelling of bytes in a tokenizer's pieces, read from its decoder.

    Args:
        backend: the fast tokenizer's own JSON.
    """

    def __init__(self, backend: Mapping[str, Any]) -> None:
        steps = _list_steps(backend.get("decoder"))
        kinds = {step["type"] for step in steps}
        self._byte_of_letter = _map_letters_to_bytes() if "ByteLevel" in kinds else None
        self._byte_fallback = "ByteFallback" in kinds
        replaced = [step for step in steps if step["type"] == "Replace" and step["content"] == " "]
        self._space = next((step["pattern"].get("String") for step in replaced), None)
        self.drop_spaces = sum(step.get("start", 0) for step in steps if step["type"] == "Strip")
        for step in steps:
            if step["type"] == "Metaspace":
                self._space = step["replacement"]
                self.drop_spaces = int(step.get("prepend_scheme", "always") != "never")

    def bytes_of(self, piece: str) -> bytes:
        """Return the bytes of a piece."""
        if self._byte_of_letter is not None and all(letter in self._byte_of_letter for letter in piece):
            return bytes(self._byte_of_letter[letter] for letter in piece)
        if self._byte_fallback and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return (piece.replace(self._space, " ") if self._space else piece).encode()


def _list_steps(decoder: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if decoder is None:
        return []
    return list(decoder["decoders"]) if decoder["type"] == "Sequence" else [decoder]


def _map_letters_to_bytes() -> dict[str, int]:
    """Return the byte of each letter of GPT-2's alphabet (Radford et al., 2019).

    GPT-2 writes a byte that cannot be printed as a letter from U+0100 on, so that pieces can be shown.

    >>> _map_letters_to_bytes()["\u0120"], _map_letters_to_bytes()["A"]
    (32, 65)
    """
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(0xAE, 0x100)]
    hidden = [value for value in range(256) if value not in shown]
    return {chr(value): value for value in shown} | {chr(256 + n): value for n, value in enumerate(hidden)}
