"""Storyland: small stories from a seed, as many as asked, each with its exact probability.

The words are in storyland.grammar. A story can be derived from it in one way only. So the probability of a
story is the product of the probabilities of its choices: -ln p = sum over choices of -ln p(choice).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate

import numpy as np

from minilm.dice import generator
from minilm.frozen import one_line
from minilm.training.storyland.grammar import (
    Alternative,
    Call,
    Entry,
    Rule,
    Slot,
    StoryGrammar,
    Word,
    parse_grammar,
)

__all__ = ["Story", "stories", "story", "storyland"]


@dataclass(frozen=True)
class Story:
    """A story.

    Attributes:
        text: its text.
        nats: -ln of its probability.
    """

    text: str
    nats: float

    __repr__ = one_line


@cache
def storyland() -> StoryGrammar:
    """Return the built-in grammar."""
    return parse_grammar(files("minilm.training.storyland").joinpath("storyland.grammar").read_text("utf-8"))


def story(seed: int, number: int, grammar: StoryGrammar | None = None) -> Story:
    """Return story `number` of a seed: the same on every call and every machine.

    >>> story(0, 1).text == story(0, 1).text != story(0, 2).text
    True
    """
    return _Teller(grammar or storyland(), generator(seed, "story", number)).tell()


def stories(seed: int, count: int, grammar: StoryGrammar | None = None) -> Iterator[Story]:
    """Yield the first `count` stories of a seed; `grammar` None is the built-in one."""
    return (story(seed, number, grammar) for number in range(count))


class _Teller:
    """Tell one story: collect its words, and -ln of the probability of its choices.

    Args:
        grammar: the grammar.
        rng: draws every choice of the story, in the order of the text.
    """

    def __init__(self, grammar: StoryGrammar, rng: np.random.Generator) -> None:
        self.grammar, self.rng = grammar, rng
        self.words: list[str] = []
        self.nats = 0.0

    def tell(self) -> Story:
        """Return the story."""
        self.add_rule("story", {})
        return Story(" ".join(self.words), self.nats)

    def choose(self, options: Sequence[Entry] | Sequence[Alternative]) -> int:
        """Draw one of the options by their weights, and return its place in the list."""
        cumulative = list(accumulate(option.weight for option in options))
        chosen = bisect_right(cumulative, self.rng.random() * cumulative[-1])
        # -ln p(choice) = -ln(weight / sum of weights)
        self.nats -= math.log(options[chosen].weight / cumulative[-1])
        return chosen

    def add_rule(self, name: str, facts: Mapping[str, Entry]) -> None:
        """Draw the facts of a rule and one of its alternatives, and add the words of it."""
        rule: Rule = self.grammar.rules[name]
        for fact in rule.facts:
            entries = self.grammar.lists[fact]
            facts = {**facts, fact: entries[self.choose(entries)]}
        for element in rule.alternatives[self.choose(rule.alternatives)].elements:
            if isinstance(element, Call):
                self.add_rule(element.rule, facts)
            else:
                self.words.append(self.write_word(element, facts))

    def write_word(self, word: Word, facts: Mapping[str, Entry]) -> str:
        """Return the text of a word, its slots filled."""
        return "".join(part if isinstance(part, str) else self.fill(part, facts) for part in word.parts)

    def fill(self, slot: Slot, facts: Mapping[str, Entry]) -> str:
        """Return the text of a slot: that of a fact, or else of an entry that is drawn now."""
        entry = facts.get(slot.source)
        if entry is None:
            entries = self.grammar.entries(slot, facts)
            entry = entries[self.choose(entries)]
        return slot.write(entry)
