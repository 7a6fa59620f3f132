r"""Make any text safe and visible: a character that would move, hide or reorder text becomes an escape.

Tokens are data, and some are hostile: control characters, escape sequences, marks that reorder a line, parts
of characters.
"""

from __future__ import annotations

import unicodedata

__all__ = ["piece", "quoted", "visible", "visible_characters"]

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Python calls these printable, but nothing is seen of them.
_BLANK = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
# Variation selectors change how the character before them looks.
_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def _is_hidden(character: str) -> bool:
    code = ord(character)
    return not character.isprintable() or code in _BLANK or any(code in block for block in _SELECTORS)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_characters(text: str, keep: str = "", extra: str = "") -> list[str]:
    r"""Return one visible string for each character of a text.

    A combining mark at the very start has no letter to join, so it is escaped too.

    Args:
        text: any text.
        keep: characters that stay as they are.
        extra: visible characters that get a backslash.

    >>> visible_characters('a\n"', extra='"')
    ['a', '\\n', '\\"']
    """
    shown = []
    for place, character in enumerate(text):
        if character in keep:
            shown.append(character)
        elif _is_hidden(character) or (place == 0 and unicodedata.category(character).startswith("M")):
            shown.append(_escape(character))
        else:
            shown.append("\\" + character if character in extra else character)
    return shown


def visible(text: str, keep: str = "\n") -> str:
    r"""Return a text with an escape for every hidden character, except those of `keep`.

    >>> visible("one\ntwo\x1b[31m")
    'one\ntwo\\x1b[31m'
    """
    return "".join(visible_characters(text, keep))


def quoted(text: str) -> str:
    r"""Return a token's text in quotes, so that its spaces are seen; backslash and quote are escaped.

    >>> print(quoted(' was "\u202e'))
    " was \"\u202e"
    """
    return '"' + "".join(visible_characters(text, extra='"\\')) + '"'


def piece(text: str, raw: bytes | None = None) -> str:
    r"""Return how a token is written: quoted text, b"..." for part of a character, no quotes if special.

    Args:
        text: the text of the token.
        raw: its bytes; a token without bytes adds nothing to the text and is special. None means unknown.

    >>> print(piece(" a", b" a"), piece("?", b"\xe2\x82"), piece("<EOS>", b""))
    " a" b"\xe2\x82" <EOS>
    """
    if raw is None:
        return quoted(text)
    if not raw:
        return "".join(visible_characters(text, extra='"\\')) if text.strip() else '""'
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return 'b"' + "".join(_write_byte(b) for b in raw) + '"'
    return quoted(text)


def _write_byte(value: int) -> str:
    character = chr(value)
    if value >= 0x80:
        return f"\\x{value:02x}"
    return visible_characters(character, extra='"\\')[0]
