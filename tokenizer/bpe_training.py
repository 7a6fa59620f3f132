"""Byte-pair encoding by hand, first half: learn the merges of a text.

Count every pair of neighbouring symbols, merge the most frequent pair into one symbol, and repeat
(Sennrich et al., 2016). One merge of the pair (a, b) in a word:

    a b c a b   ->   ab c ab

The order of the merges is SentencePiece's, ties included; train_merges says where the two may differ.
The second half, which encodes a text with these merges, is in bpe.py.
"""

from __future__ import annotations

import heapq
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count, pairwise

from tokenizer.corpus import check_texts, split_sentences

__all__ = ["Merge", "can_be_learned", "find_script", "train_merges"]

Pair = tuple[str, str]
# The symbols of one word; they are joined in place as merges are learned.
Word = list[str]

# Characters; SentencePiece learns no longer piece.
_LONGEST_PIECE = 16

# First words of Unicode names whose letters SentencePiece counts as one script: a Japanese word mixes them.
_HAN = {"CJK", "KANGXI", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC"}
_SCRIPT_NAMES = """
    LATIN GREEK COPTIC CYRILLIC ARMENIAN HEBREW ARABIC SYRIAC THAANA NKO DEVANAGARI BENGALI GURMUKHI GUJARATI
    ORIYA TAMIL TELUGU KANNADA MALAYALAM SINHALA THAI LAO TIBETAN MYANMAR GEORGIAN HANGUL ETHIOPIC CHEROKEE
    CANADIAN OGHAM RUNIC KHMER MONGOLIAN BOPOMOFO YI GOTHIC BALINESE JAVANESE TIFINAGH GLAGOLITIC
"""
_SCRIPTS = frozenset(_SCRIPT_NAMES.split())


@dataclass(frozen=True, slots=True)
class Merge:
    """Two neighbours become one piece. Learning and encoding yield the same record.

    Spaces are spaces here, not U+2581.

    Attributes:
        order: the number of the merge, from 0.
        pair: the two neighbours.
        count: in learning, how often the pair occurred in the training text, overlaps counted; in encoding 1.
        piece: the symbol that they become.
        rank: encoding only: the rank of the piece, 0 for the piece that was learned first.
        at: encoding only: the character offset in the text at which the piece starts.
    """

    order: int
    pair: Pair
    count: int
    piece: str
    rank: float | None = None
    at: int | None = None


def train_merges(lines: Iterable[str], limit: int | None = None) -> Iterator[Merge]:
    """Yield the merges that SentencePiece learns from these lines, the most frequent pair first.

    Among pairs of equal count the shorter piece comes first, then the one that is first in code-point order
    (with U+2581 in place of a space). Learning ends when no pair is left; SentencePiece goes on there with
    pairs that no longer occur in the text.

    The merges agree with SentencePiece's one by one, with two exceptions. SentencePiece looks only at the
    pairs that were most frequent some merges ago (at least 1,000 of them), so it may choose differently
    among rare pairs of equal count. And the scripts of rare characters are guessed; see find_script.

    Args:
        lines: the training text, in any number of parts.
        limit: stop after this many merges; None learns until no pair is left.

    >>> [merge.piece for merge in train_merges(["hug pug hugs bun"], limit=3)]
    ['ug', 'hug', 'bu']
    """
    words = Counter(
        word
        for block in check_texts(lines)
        for sentence in split_sentences(block)
        for word in _split_words(sentence)
    )
    table = _PairTable([(list(word), frequency) for word, frequency in words.items()])
    for order in count() if limit is None else range(limit):
        best = table.pop_most_frequent()
        if best is None:
            return
        pair, frequency = best
        yield Merge(order, pair, frequency, "".join(pair))
        table.merge(pair)


def _split_words(sentence: str) -> list[str]:
    """Return a sentence cut before each space; no merge crosses a cut.

    >>> _split_words("to be  or")
    ['to', ' be', ' ', ' or']
    """
    return re.findall(r" [^ ]*|[^ ]+", sentence)


class _PairTable:
    """The count of each pair of neighbours in the words, and the words that have it.

    A merge changes only the counts of pairs in the words that hold the merged pair, so only those words are
    counted again.

    Args:
        words: each different word of the text, and how often it occurs.
    """

    def __init__(self, words: list[tuple[Word, int]]) -> None:
        self._words = words
        self._counts: Counter[Pair] = Counter()
        self._words_with: defaultdict[Pair, set[int]] = defaultdict(set)
        self._allowed: dict[Pair, bool] = {}
        for number in range(len(words)):
            self._count_pairs(number, 1)
        # The heap holds an entry for every count that a pair ever had. Finding and removing the old entry
        # would be slow, so pop_most_frequent passes over entries whose count is out of date.
        self._heap = [self._heap_entry(pair) for pair in self._counts]
        heapq.heapify(self._heap)

    def pop_most_frequent(self) -> tuple[Pair, int] | None:
        """Return the next pair to merge and its count; None when no allowed pair is left."""
        while self._heap:
            negative_count, _, piece, left_length = heapq.heappop(self._heap)
            piece = piece.replace("\u2581", " ")
            pair = (piece[:left_length], piece[left_length:])
            if self._counts[pair] == -negative_count and negative_count:
                return pair, -negative_count
        return None

    def merge(self, pair: Pair) -> None:
        """Merge the pair, from left to right, in every word that holds it."""
        changed: set[Pair] = set()
        for number in sorted(self._words_with.pop(pair)):
            changed |= self._count_pairs(number, -1)
            self._words[number][0][:] = _merge_pair(self._words[number][0], pair)
            changed |= self._count_pairs(number, 1)
        for other in changed - {pair}:
            heapq.heappush(self._heap, self._heap_entry(other))

    def _count_pairs(self, number: int, sign: int) -> set[Pair]:
        """Add (sign 1) or subtract (sign -1) the pairs of one word; return those pairs."""
        word, frequency = self._words[number]
        seen = set()
        for pair in pairwise(word):
            if pair not in self._allowed:
                self._allowed[pair] = can_be_learned(pair[0] + pair[1])
            if self._allowed[pair]:
                self._counts[pair] += sign * frequency
                self._words_with[pair].add(number)
                seen.add(pair)
        return seen

    def _heap_entry(self, pair: Pair) -> tuple[int, int, str, int]:
        """Return a tuple that sorts by count (largest first), then by length, then by code points."""
        piece = pair[0] + pair[1]
        return -self._counts[pair], len(piece), piece.replace(" ", "\u2581"), len(pair[0])


def _merge_pair(word: Word, pair: Pair) -> Word:
    """Return the word with every occurrence of the pair merged, from the left.

    >>> _merge_pair(["a", "b", "c", "a", "b"], ("a", "b"))
    ['ab', 'c', 'ab']
    >>> _merge_pair(["a", "a", "a", "b"], ("a", "a"))
    ['aa', 'a', 'b']
    """
    merged, at = [], 0
    while at < len(word):
        if tuple(word[at : at + 2]) == pair:
            merged.append("".join(pair))
            at += 2
        else:
            merged.append(word[at])
            at += 1
    return merged


def can_be_learned(piece: str) -> bool:
    """Return whether SentencePiece may learn this piece: short, within one word, of one script.

    Only the first character of a piece may be a space.

    >>> [can_be_learned(piece) for piece in (" the", "e t", "king,", "1st", "日本の")]
    [True, False, False, False, True]
    """
    if len(piece) > _LONGEST_PIECE or " " in piece[1:]:
        return False
    scripts = {find_script(character) for character in piece.removeprefix(" ")}
    return len(scripts - {"INHERITED"}) < 2


@cache
def find_script(character: str) -> str:
    """Return the script of a character: COMMON for most signs, INHERITED for marks that fit any letter.

    Python's library does not know the scripts of Unicode, so the first word of the character's name is
    taken. Compared with SentencePiece this is right for the letters, digits and signs of the scripts above,
    and wrong for a few rare characters (modifier letters, Roman numerals, letters newer than its tables).

    >>> find_script("a"), find_script("я"), find_script("の"), find_script("!"), find_script("7")
    ('LATIN', 'CYRILLIC', 'HAN', 'COMMON', 'COMMON')
    """
    first_word = unicodedata.name(character, "").replace("-", " ").split(" ")[0]
    is_mark = first_word in ("COMBINING", "VEDIC") and unicodedata.combining(character)
    is_arabic_vowel_sign = "\u064b" <= character <= "\u0655" or character == "\u0670"
    if character in "\u200c\u200d" or is_mark or is_arabic_vowel_sign:
        return "INHERITED"
    if first_word in _HAN and unicodedata.category(character)[0] in "LNS":
        return "HAN"
    return first_word if first_word in _SCRIPTS else "COMMON"
