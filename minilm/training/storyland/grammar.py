"""A story grammar as a value: lists of words, rules, and facts that are drawn once and used again.

`parse_grammar` reads the notation that the top of storyland.grammar explains. Nothing is drawn here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from minilm.errors import MinilmError

__all__ = ["Alternative", "Call", "Entry", "Rule", "Slot", "StoryGrammar", "Word", "parse_grammar"]


@dataclass(frozen=True)
class Entry:
    """One entry of a list.

    Attributes:
        text: what it reads.
        weight: how often it is drawn, relative to the other entries.
        columns: pairs of a column's name and the entry's text in it.
    """

    text: str
    weight: float = 1.0
    columns: tuple[tuple[str, str], ...] = ()

    def value(self, column: str) -> str:
        """Return the text of a column; for "" the entry's own text."""
        return dict(self.columns)[column] if column else self.text


@dataclass(frozen=True)
class Slot:
    """A gap in a word, to be filled from an entry.

    Attributes:
        source: the name of a fact, or of a list that is drawn from.
        column: the column that is written; "" for the entry's own text.
        key: (fact, column), whose text completes the name of the list: `source/text`.
        capital: write the first letter as a capital.
    """

    source: str
    column: str = ""
    key: tuple[str, str] | None = None
    capital: bool = False

    def write(self, entry: Entry) -> str:
        """Return what the slot writes for an entry.

        >>> Slot("sky", capital=True).write(Entry("blue"))
        'Blue'
        """
        text = entry.value(self.column)
        return text[:1].upper() + text[1:] if self.capital else text


@dataclass(frozen=True)
class Word:
    """A word of a rule.

    Attributes:
        parts: text and slots between two spaces, punctuation included.
    """

    parts: tuple[str | Slot, ...]


@dataclass(frozen=True)
class Call:
    """A place in a rule that another rule fills with whole words.

    Attributes:
        rule: the name of the other rule.
    """

    rule: str


@dataclass(frozen=True)
class Alternative:
    """One way to write a rule.

    Attributes:
        weight: how often it is drawn, relative to the other alternatives.
        elements: its words and calls, in order.
    """

    weight: float
    elements: tuple[Word | Call, ...]


@dataclass(frozen=True)
class Rule:
    """A rule.

    Attributes:
        facts: the lists that it draws a fact from before its first word.
        alternatives: the ways to write it, of which one is drawn.
    """

    facts: tuple[str, ...]
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class StoryGrammar:
    """A whole grammar.

    Attributes:
        lists: the entries of each list, by its name.
        rules: the rules by name; a text begins with the rule "story".
    """

    lists: Mapping[str, tuple[Entry, ...]]
    rules: Mapping[str, Rule]

    def entries(self, slot: Slot, facts: Mapping[str, Entry]) -> tuple[Entry, ...]:
        """Return the entries that a slot is drawn from, given the facts so far."""
        return self.lists[slot.source + ("/" + facts[slot.key[0]].value(slot.key[1]) if slot.key else "")]


def parse_grammar(text: str) -> StoryGrammar:
    """Read a grammar; MinilmError names the line that cannot be read.

    >>> parse_grammar("list sky\\n  blue / grey\\nrule story\\n  The sky is {sky}.").lists["sky"][1].text
    'grey'
    """
    lists: dict[str, list[Entry]] = {}
    rules: dict[str, tuple[tuple[str, ...], list[Alternative]]] = {}
    head, columns = "", []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("list "):
            head, *columns = [part.strip() for part in line[5:].split("|")]
            lists[head] = []
        elif line.startswith("rule "):
            name, _, facts = line[5:].partition(" with ")
            head, rules[name.strip()] = "", (tuple(facts.split()), [])
        elif line.startswith("  ") and head:
            lists[head] += _parse_entries(line, columns, number)
        elif line.startswith("  ") and rules:
            weight, words = _split_weight(line)
            list(rules.values())[-1][1].append(Alternative(weight, tuple(map(_parse_element, words.split()))))
        else:
            raise MinilmError(
                f"Grammar line {number} is neither a list, a rule nor indented: {line.strip()!r}"
            )
    made = {name: Rule(facts, tuple(alternatives)) for name, (facts, alternatives) in rules.items()}
    grammar = StoryGrammar({name: tuple(entries) for name, entries in lists.items()}, made)
    _check_names(grammar)
    return grammar


def _split_weight(line: str) -> tuple[float, str]:
    """Return the weight that a line begins with, 1 where it has none, and the rest of the line.

    >>> _split_weight("  3 fox"), _split_weight("  fox")
    ((3.0, 'fox'), (1.0, 'fox'))
    """
    first, _, rest = line.strip().partition(" ")
    return (float(first), rest.strip()) if first.isdigit() else (1.0, line.strip())


def _parse_entries(line: str, columns: list[str], number: int) -> list[Entry]:
    """Return the entries of line `number` of a list: one row of a table, or several without columns."""
    if not columns:
        return [Entry(part.strip()) for part in line.split(" / ")]
    weight, row = _split_weight(line)
    text, *values = [part.strip() for part in row.split("|")]
    if len(values) != len(columns):
        raise MinilmError(f"Grammar line {number} must fill {len(columns)} columns, got {len(values)}")
    return [Entry(text, weight, tuple(zip(columns, values, strict=True)))]


def _parse_element(text: str) -> Word | Call:
    """Read one unit between two spaces of a rule.

    >>> _parse_element("[ending]"), _parse_element("{sky}!")
    (Call(rule='ending'), Word(parts=(Slot(source='sky', column='', key=None, capital=False), '!')))
    """
    if text.startswith("[") and text.endswith("]"):
        return Call(text[1:-1])
    parts = re.split(r"(\{[^}]*\})", text)
    return Word(tuple(_parse_slot(part[1:-1]) if part.startswith("{") else part for part in parts if part))


def _parse_slot(text: str) -> Slot:
    """Read the inside of braces: `^` for a capital, then SOURCE, SOURCE.COLUMN or SOURCE/FACT.COLUMN."""
    capital, text = text.startswith("^"), text.removeprefix("^")
    source, _, keyed = text.partition("/")
    if keyed:
        fact, _, column = keyed.partition(".")
        return Slot(source, "", (fact, column), capital)
    source, _, column = source.partition(".")
    return Slot(source, column, None, capital)


def _check_names(grammar: StoryGrammar) -> None:
    """Raise MinilmError where a rule calls a rule or names a list that does not exist."""
    lists = set(grammar.lists) | {name.partition("/")[0] for name in grammar.lists}
    for name, rule in grammar.rules.items():
        for element in (element for each in rule.alternatives for element in each.elements):
            if isinstance(element, Call) and element.rule not in grammar.rules:
                raise MinilmError(f"Grammar rule {name} calls {element.rule}, which is not there")
            for part in element.parts if isinstance(element, Word) else ():
                if isinstance(part, Slot) and part.source not in lists:
                    raise MinilmError(f"Grammar rule {name} names {part.source}, which is no list")
    if "story" not in grammar.rules:
        raise MinilmError("A grammar must have a rule story")
