r"""Any text, made safe and visible: what would move, hide or reorder becomes a written escape.

Tokens are data, and some are hostile: control characters, escape sequences, marks that reorder a line,
half characters. Nothing here measures or lays out.
"""

from __future__ import annotations

import unicodedata

__all__ = ["piece", "quoted", "units", "visible"]

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNSEEN = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}  # blank, yet called printable
_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def _hidden(character: str) -> bool:
    code = ord(character)
    return not character.isprintable() or code in _UNSEEN or any(code in block for block in _SELECTORS)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def units(text: str, keep: str = "", extra: str = "") -> list[str]:
    r"""One visible string per character; `keep` passes as it is, `extra` gets a backslash.

    A combining mark that leads has nothing to stand on, so it is escaped too.

    >>> units('a\n"', extra='"')
    ['a', '\\n', '\\"']
    """
    shown = []
    for place, character in enumerate(text):
        if character in keep:
            shown.append(character)
        elif _hidden(character) or (place == 0 and unicodedata.category(character).startswith("M")):
            shown.append(_escape(character))
        else:
            shown.append("\\" + character if character in extra else character)
    return shown


def visible(text: str, keep: str = "\n") -> str:
    r"""A running text with everything hidden written out; the characters of `keep` pass.

    >>> visible("one\ntwo\x1b[31m")
    'one\ntwo\\x1b[31m'
    """
    return "".join(units(text, keep))


def quoted(text: str) -> str:
    r"""A token's text between quotes, so that its spaces can be seen; backslash and quote are escaped.

    >>> print(quoted(' was "\u202e'))
    " was \"\u202e"
    """
    return '"' + "".join(units(text, extra='"\\')) + '"'


def piece(text: str, raw: bytes | None = None) -> str:
    r"""How a token is written: quoted text, b"..." for part of a character, bare for a special token.

    A token whose bytes are no whole characters is shown by its bytes; one without bytes adds nothing to
    the text and is special.

    >>> print(piece(" a", b" a"), piece("?", b"\xe2\x82"), piece("<EOS>", b""))
    " a" b"\xe2\x82" <EOS>
    """
    if raw is None:
        return quoted(text)
    if not raw:
        return "".join(units(text, extra='"\\')) if text.strip() else '""'
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return 'b"' + "".join(_byte(b) for b in raw) + '"'
    return quoted(text)


def _byte(value: int) -> str:
    character = chr(value)
    if value >= 0x80:
        return f"\\x{value:02x}"
    return units(character, extra='"\\')[0]
