"""The true entropy of a story grammar, exactly: what no model can get below.

A story is its derivation, so its expected nats are the sum of what every choice costs on average. By
linearity of expectation each word is averaged over the facts that it mentions, and over no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import log, prod
from typing import TypeVar

import numpy as np

from minilm.protocols import TextCodec
from minilm.records import Array
from minilm.training.storyland.grammar import Alternative, Call, Entry, Grammar, Slot, Word

__all__ = ["Floor", "floor"]

Facts = Mapping[str, Entry]

Option = TypeVar("Option", Entry, Alternative)


@dataclass(frozen=True)
class Floor:
    """Expected nats, tokens (the end token is one) and characters of a story."""

    nats: float
    tokens: float
    characters: float

    @property
    def per_token(self) -> float:
        """Nats per token: the validation loss of a perfect model."""
        return self.nats / self.tokens

    @property
    def per_character(self) -> float:
        """Nats per character."""
        return self.nats / self.characters


def floor(grammar: Grammar, codec: TextCodec | None = None) -> Floor:
    """The entropy of a grammar's stories under a tokenizer; without one, a token is a character.

    The tokenizer must not join letters across a space (SentencePiece's default): then the tokens of a
    story are the tokens of its words, and their expected number is a sum too.
    """
    count = len if codec is None else _tokens(codec)
    nats, tokens, characters = _Average(grammar, count).rule("story", frozenset(), first=True)
    return Floor(float(nats), float(tokens) + 1, float(characters))


def _tokens(codec: TextCodec) -> Callable[[str], int]:
    """How many tokens a word of a story is, a space before it or not."""
    alone = len(codec.encode("x"))

    @cache
    def count(word: str) -> int:
        return len(codec.encode("x" + word)) - alone if word[0] == " " else len(codec.encode(word))

    return count


class _Average:
    """Expected (nats, tokens, characters); facts stay open until a word mentions them."""

    def __init__(self, grammar: Grammar, count: Callable[[str], int]) -> None:
        self.grammar, self.count = grammar, count

    def rule(self, name: str, open_facts: frozenset[str], first: bool) -> Array:
        """A rule, from the draw of its own facts to its last word; `first`: it begins the story."""
        rule = self.grammar.rules[name]
        drawn = sum(_entropy(self.grammar.lists[fact]) for fact in rule.facts)
        total = np.array([drawn + _entropy(rule.alternatives), 0.0, 0.0])
        for p, alternative in _shares(rule.alternatives):
            for place, element in enumerate(alternative.elements):
                total += p * self.element(element, open_facts.union(rule.facts), first and place == 0)
        return total

    def element(self, element: Word | Call, open_facts: frozenset[str], first: bool) -> Array:
        """A rule that is called, or a word averaged over the facts that it mentions."""
        if isinstance(element, Call):
            return self.rule(element.rule, open_facts, first)
        names = sorted(open_facts & _mentions(element))
        total = np.zeros(3)
        for choice in product(*(list(_shares(self.grammar.lists[name])) for name in names)):
            facts = dict(zip(names, (entry for _, entry in choice), strict=True))
            total += prod(p for p, _ in choice) * self.word(element.parts, facts, "" if first else " ")
        return total

    def word(self, parts: Sequence[str | Slot], facts: Facts, begun: str) -> Array:
        """The rest of a word after what is begun, averaged over the words that its slots may draw."""
        if not parts:
            return np.array([0.0, sum(map(self.count, _words(begun))), len(begun)])
        part, *rest = parts
        if isinstance(part, str):
            return self.word(rest, facts, begun + part)
        if part.source in facts:
            return self.word(rest, facts, begun + part.write(facts[part.source]))
        entries = self.grammar.entries(part, facts)
        drawn = sum(p * self.word(rest, facts, begun + part.write(entry)) for p, entry in _shares(entries))
        return np.array([_entropy(entries), 0.0, 0.0]) + drawn


def _words(text: str) -> Iterator[str]:
    """Words with the space before them: what the tokenizer sees as one unit.

    >>> list(_words(" by the sea"))
    [' by', ' the', ' sea']
    """
    start, *others = text.split(" ")
    yield from ([start] if start else [])
    yield from (" " + word for word in others)


def _shares(options: Sequence[Option]) -> Iterator[tuple[float, Option]]:
    total = sum(option.weight for option in options)
    return ((option.weight / total, option) for option in options)


def _entropy(options: Sequence[Option]) -> float:
    return -sum(p * log(p) for p, _ in _shares(options))


def _mentions(word: Word) -> set[str]:
    slots = [part for part in word.parts if isinstance(part, Slot)]
    return {slot.source for slot in slots} | {slot.key[0] for slot in slots if slot.key}
