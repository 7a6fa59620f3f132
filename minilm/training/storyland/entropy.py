"""The exact entropy of a story grammar: the lowest loss that a model of its stories can reach.

The entropy of a story is the sum of the entropies of its choices, H = -sum of p ln p for each. Expectation is
linear, so each word is averaged over the facts that it mentions and over no others.
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
from minilm.training.storyland.grammar import Alternative, Call, Entry, Slot, StoryGrammar, Word

__all__ = ["Floor", "floor"]

Facts = Mapping[str, Entry]

Option = TypeVar("Option", Entry, Alternative)


@dataclass(frozen=True)
class Floor:
    """The expected size of a story.

    Attributes:
        nats: its entropy.
        tokens: its tokens, the end token included.
        characters: its characters.
    """

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


def floor(grammar: StoryGrammar, codec: TextCodec | None = None) -> Floor:
    """Return the entropy of a grammar's stories, and their expected tokens and characters.

    Args:
        grammar: the grammar.
        codec: the tokenizer; None counts a character as a token. It must not join letters across a space
            (SentencePiece's default), so that the tokens of a story are the tokens of its words.
    """
    count = len if codec is None else _tokens(codec)
    nats, tokens, characters = _Average(grammar, count).rule("story", frozenset(), first=True)
    return Floor(float(nats), float(tokens) + 1, float(characters))


def _tokens(codec: TextCodec) -> Callable[[str], int]:
    """Return a function that counts the tokens of a word, with or without a space before it."""
    alone = len(codec.encode("x"))

    @cache
    def count(word: str) -> int:
        return len(codec.encode("x" + word)) - alone if word[0] == " " else len(codec.encode(word))

    return count


class _Average:
    """Compute expected (nats, tokens, characters); a fact stays open until a word mentions it."""

    def __init__(self, grammar: StoryGrammar, count: Callable[[str], int]) -> None:
        self.grammar, self.count = grammar, count

    def rule(self, name: str, open_facts: frozenset[str], first: bool) -> Array:
        """Average a rule, from the draw of its facts to its last word; `first`: it begins the story."""
        rule = self.grammar.rules[name]
        drawn = sum(_entropy(self.grammar.lists[fact]) for fact in rule.facts)
        total = np.array([drawn + _entropy(rule.alternatives), 0.0, 0.0])
        for p, alternative in _shares(rule.alternatives):
            for place, element in enumerate(alternative.elements):
                total += p * self.element(element, open_facts.union(rule.facts), first and place == 0)
        return total

    def element(self, element: Word | Call, open_facts: frozenset[str], first: bool) -> Array:
        """Average a called rule, or a word over the facts that it mentions."""
        if isinstance(element, Call):
            return self.rule(element.rule, open_facts, first)
        names = sorted(open_facts & _mentions(element))
        total = np.zeros(3)
        for choice in product(*(list(_shares(self.grammar.lists[name])) for name in names)):
            facts = dict(zip(names, (entry for _, entry in choice), strict=True))
            total += prod(p for p, _ in choice) * self.word(element.parts, facts, "" if first else " ")
        return total

    def word(self, parts: Sequence[str | Slot], facts: Facts, begun: str) -> Array:
        """Average the rest of a word, after the text `begun`, over the entries that its slots may draw."""
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
    """Yield words with the space before them: each is one unit for the tokenizer.

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
    # H = -sum of p ln p
    return -sum(p * log(p) for p, _ in _shares(options))


def _mentions(word: Word) -> set[str]:
    slots = [part for part in word.parts if isinstance(part, Slot)]
    return {slot.source for slot in slots} | {slot.key[0] for slot in slots if slot.key}
