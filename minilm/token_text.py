"""Write a token, and find the ids that a typed word means: one rule for every command.

A token is written as its text. A special token is written as its role, `<EOS>`, and bytes that are not a
whole character are written one by one, `<0xE2>`.

A typed word is read so:

- `#5` is the id 5.
- `<EOS>`, `<BOS>`, `<PAD>`, `<UNK>`, or the name of another special token, such as `<|im_end|>`, is its id.
- `'fox'` in quotes is the text fox exactly as written, with no space before it. Python's escapes work.
- Any other word is read as it appears inside a text, after a space: `fox` is the token " fox". Where the
  tokenizer makes the space a token of its own, the word begins after it.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass

from minilm.errors import MinilmError
from minilm.protocols import TextCodec

__all__ = ["Meant", "TokenTexts", "id_of", "ids_of", "unquoted"]


class TokenTexts:
    """A function from an id to its text and bytes. It looks each id up once.

    An id that is both BOS and EOS is written `<EOS>`.

    Args:
        codec: The tokenizer that knows the pieces.
    """

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self._known = {token_id: (name, b"") for name, token_id in _roles(codec).items()}

    def __call__(self, token_id: int) -> tuple[str, bytes]:
        """Return the text to show for an id, and the bytes that it adds to the text."""
        known = self._known.get(token_id)
        if known is None:
            known = self._known[token_id] = self._look_up(token_id)
        return known

    def _look_up(self, token_id: int) -> tuple[str, bytes]:
        # Some models have more rows than their tokenizer has pieces.
        if token_id >= self._codec.vocab_size:
            return f"<{token_id}>", b""
        raw = self._codec.piece_bytes(token_id)
        if not raw:
            return self._codec.piece(token_id), raw
        try:
            return raw.decode("utf-8"), raw
        except UnicodeDecodeError:
            return "".join(f"<0x{byte:02X}>" for byte in raw), raw


@dataclass(frozen=True, slots=True)
class Meant:
    """The ids that a typed word means.

    Attributes:
        ids: All ids of the word, one or more.
        note: A line for the user where the word is several ids and the first is taken, else None.
    """

    ids: tuple[int, ...]
    note: str | None = None

    @property
    def id(self) -> int:
        """The id that is meant where one token is asked for: the first."""
        return self.ids[0]


def ids_of(word: str, codec: TextCodec, *, numbers: bool = False) -> Meant:
    """Return the ids that a typed word means, by the rule at the top of this file.

    Args:
        word: What the user typed.
        codec: The tokenizer of the model.
        numbers: True where a bare whole number such as `5` is an id too.

    Raises:
        MinilmError: The word has no token, its quotes are not closed, or `#` stands before a number of
            more than nine digits.
    """
    found = id_of(word, codec, numbers=numbers)
    if found is not None:
        return Meant((found,))
    ids = codec.encode(unquoted(word)) if word[:1] in ("'", '"') else _ids_inside_a_text(word, codec)
    if not ids:
        raise MinilmError(f"The word {word!r} has no token; give a word, or an id such as #7")
    return Meant(tuple(ids), _note(word, ids, codec) if len(ids) > 1 else None)


def id_of(word: str, codec: TextCodec, *, numbers: bool = False) -> int | None:
    """Return the id of a word that names one token, `#5` or `<EOS>`; None for a word that is text.

    Args:
        word: What the user typed.
        codec: The tokenizer of the model.
        numbers: True where a bare whole number such as `5` is an id too.

    Raises:
        MinilmError: The number has more than nine digits.
    """
    number = word[1:] if word.startswith("#") else word if numbers else ""
    if number.isdecimal():
        if len(number) > 9:
            raise MinilmError(f"A whole number is expected here, got '{number[:39]}…'")
        return int(number)
    if not (word.startswith("<") and word.endswith(">")):
        return None
    roles = _roles(codec)
    if word in roles:
        return roles[word]
    # A special token that has no role is written as its piece, and adds no bytes to the text.
    pieces = (i for i in range(codec.vocab_size) if not codec.piece_bytes(i) and codec.piece(i) == word)
    return next(pieces, None)


def unquoted(text: str) -> str:
    """Return a text as it was typed, or, where it is in quotes, the text between them.

    >>> unquoted("fox"), unquoted(r"' fox\\n'")
    ('fox', ' fox\\n')

    Raises:
        MinilmError: The text begins with a quote and does not end with it.
    """
    if text[:1] not in ("'", '"'):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, str):
        raise MinilmError(f'A quoted text is written like " the fox", got {text}')
    return value


def _roles(codec: TextCodec) -> dict[str, int]:
    """Return the special tokens by the name under which they are shown, the end of the text last."""
    by_role = sorted(codec.special_ids.items(), key=lambda item: item[0] == "eos")
    return {f"<{role.upper()}>": token_id for role, token_id in by_role}


def _ids_inside_a_text(word: str, codec: TextCodec) -> list[int]:
    """Return the ids of a word after a space; a word that begins with white space is read as it is."""
    if not word or word[0].isspace():
        return codec.encode(word)
    spaced = f" {word}"
    # Some tokenizers put a space before every text themselves; for them the bare word is the right spelling.
    spellings = (codec.encode(spelling) for spelling in (spaced, word))
    wanted = spaced.encode("utf-8", "replace")
    fitting = (ids for ids in spellings if b"".join(map(codec.piece_bytes, ids)) == wanted)
    ids = next(fitting, None) or codec.encode(spaced)
    # Where the space is a token of its own, the word begins after it.
    return ids[1:] if len(ids) > 1 and codec.piece_bytes(ids[0]) == b" " else ids


def _note(word: str, ids: list[int], codec: TextCodec) -> str:
    shown = word if word.isprintable() else repr(word)
    shown = shown if len(shown) <= 40 else f"{shown[:39]}…"
    text = json.dumps(TokenTexts(codec)(ids[0])[0], ensure_ascii=False)
    return f"{shown} is {len(ids)} tokens; the first is meant: id {ids[0]} {text}"
