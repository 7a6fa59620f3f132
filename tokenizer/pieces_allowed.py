"""Which strings SentencePiece lets become a piece: short, within one word, of one script.

Python's library does not know the scripts of Unicode; the first word of a character's name stands in for
them. Held against SentencePiece, that is right for the letters, digits and signs of the scripts below, wrong
for a few rarities (modifier letters, Roman numeral signs, letters newer than its tables).
"""

from __future__ import annotations

import unicodedata
from functools import cache

__all__ = ["may_be_learnt", "script"]

_LONGEST = 16  # characters
_HAN = {"CJK", "KANGXI", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC"}
_NAMES = """
    LATIN GREEK COPTIC CYRILLIC ARMENIAN HEBREW ARABIC SYRIAC THAANA NKO DEVANAGARI BENGALI GURMUKHI GUJARATI
    ORIYA TAMIL TELUGU KANNADA MALAYALAM SINHALA THAI LAO TIBETAN MYANMAR GEORGIAN HANGUL ETHIOPIC CHEROKEE
    CANADIAN OGHAM RUNIC KHMER MONGOLIAN BOPOMOFO YI GOTHIC BALINESE JAVANESE TIFINAGH GLAGOLITIC
"""
_SCRIPTS = frozenset(_NAMES.split())


def may_be_learnt(piece: str) -> bool:
    """True where SentencePiece may learn this piece (a space stands only at its beginning).

    >>> [may_be_learnt(piece) for piece in (" the", "e t", "king,", "1st", "日本の")]
    [True, False, False, False, True]
    """
    if len(piece) > _LONGEST or " " in piece[1:]:
        return False
    scripts = {script(character) for character in piece.removeprefix(" ")}
    return len(scripts - {"INHERITED"}) < 2


@cache
def script(character: str) -> str:
    """The script of a character, by its name; COMMON for most signs, INHERITED for marks that fit any letter.

    >>> script("a"), script("я"), script("の"), script("!"), script("7")
    ('LATIN', 'CYRILLIC', 'HAN', 'COMMON', 'COMMON')
    """
    word = unicodedata.name(character, "").replace("-", " ").split(" ")[0]
    if character in "\u200c\u200d" or (word in ("COMBINING", "VEDIC") and unicodedata.combining(character)):
        return "INHERITED"
    if "\u064b" <= character <= "\u0655" or character == "\u0670":  # the vowel signs of Arabic
        return "INHERITED"
    if word in _HAN and unicodedata.category(character)[0] in "LNS":
        return "HAN"
    return word if word in _SCRIPTS else "COMMON"
