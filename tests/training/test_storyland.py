"""Storyland's stories and their entropy, against a parser of its own and sums worked by hand."""

import math
import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

import tokenizer
from minilm import builtin
from minilm.errors import MinilmError
from minilm.training.storyland.entropy import floor
from minilm.training.storyland.grammar import Call, Slot, StoryGrammar, parse_grammar
from minilm.training.storyland.stories import stories, story, storyland

SMALL = """
list pet | noise
  3 cat | mews
  dog | barks
list tone/cat
  softly / loudly / not at all
list tone/dog
  all night
rule story with pet
  The {pet}, [sound]
  2 A {pet} is here.
rule sound
  my {pet}, {pet.noise} {tone/pet}.
"""


def derivations(grammar: StoryGrammar, text: str) -> list[tuple[float, dict]]:
    """Every derivation of a text, found from the text alone: -ln p and the facts."""
    words = text.split(" ")

    def share(options, chosen) -> float:
        return -math.log(chosen.weight / sum(option.weight for option in options))

    def spelled(parts, facts) -> Iterator[tuple[str, float, dict]]:
        if not parts:
            yield "", 0.0, facts
            return
        part, *rest = parts
        if isinstance(part, str):
            starts = [(part, 0.0, facts)]
        else:
            starts = [(part.write(entry), nats, known) for entry, nats, known in filled(part, facts)]
        for start, nats, known in starts:
            for end, more, after in spelled(rest, known):
                yield start + end, nats + more, after

    def filled(slot: Slot, facts: dict) -> Iterator[tuple]:
        if slot.key and facts.get(slot.key[0], 0) is None:
            for entry in grammar.lists[slot.key[0]]:
                yield from filled(slot, {**facts, slot.key[0]: entry})
        elif slot.source not in facts:
            entries = grammar.entries(slot, facts)
            yield from ((entry, share(entries, entry), facts) for entry in entries)
        elif facts[slot.source] is None:
            yield from ((entry, 0.0, {**facts, slot.source: entry}) for entry in grammar.lists[slot.source])
        else:
            yield facts[slot.source], 0.0, facts

    def sequence(elements, at, facts) -> Iterator[tuple[int, float, dict]]:
        if not elements:
            yield at, 0.0, facts
            return
        first, *rest = elements
        for now, nats, known in (
            rule(first.rule, at, facts) if isinstance(first, Call) else one(first, at, facts)
        ):
            for end, more, after in sequence(rest, now, known):
                yield end, nats + more, after

    def one(word, at, facts) -> Iterator[tuple[int, float, dict]]:
        for written, nats, known in spelled(word.parts, facts):
            length = len(written.split(" "))
            if written.split(" ") == words[at : at + length]:
                yield at + length, nats, known

    def rule(name, at, facts) -> Iterator[tuple[int, float, dict]]:
        made = grammar.rules[name]
        for alternative in made.alternatives:
            opened = {**facts, **dict.fromkeys(made.facts)}
            for end, nats, known in sequence(alternative.elements, at, opened):
                yield end, nats + share(made.alternatives, alternative), known

    found = [(nats, facts) for end, nats, facts in rule("story", 0, {}) if end == len(words)]
    return [
        (nats + sum(share(grammar.lists[f], e) for f, e in facts.items()), facts) for nats, facts in found
    ]


def test_every_story_has_exactly_one_derivation_and_its_nats_follow_from_the_text_alone():
    for told in stories(3, 150):
        found = derivations(storyland(), told.text)
        assert len(found) == 1, told.text
        nats, facts = found[0]
        assert None not in facts.values()
        assert nats == pytest.approx(told.nats, abs=1e-9)


def test_the_entropy_of_a_small_grammar_is_the_sum_worked_by_hand():
    cat, dog = 3 / 4, 1 / 4
    outcomes = [cat / 3 / 3] * 3 + [dog / 3] + [cat * 2 / 3, dog * 2 / 3]
    by_hand = -sum(p * math.log(p) for p in outcomes)
    texts = [f"The cat, my cat, mews {tone}." for tone in ("softly", "loudly", "not at all")]
    texts += ["The dog, my dog, barks all night.", "A cat is here.", "A dog is here."]
    found = floor(parse_grammar(SMALL))
    assert sum(outcomes) == pytest.approx(1)
    assert found.nats == pytest.approx(by_hand, abs=1e-12)
    assert found.characters == pytest.approx(sum(p * len(t) for p, t in zip(outcomes, texts, strict=True)))
    assert {told.text for told in stories(0, 300, parse_grammar(SMALL))} == set(texts)
    codec = tokenizer.train(lines=texts * 3, vocab_size=300)
    tokens = [len(codec.encode(text)) + 1 for text in texts]
    by_hand = sum(p * n for p, n in zip(outcomes, tokens, strict=True))
    assert floor(parse_grammar(SMALL), codec).tokens == pytest.approx(by_hand, abs=1e-9)
    for p, text in zip(outcomes, texts, strict=True):
        assert [nats for nats, _ in derivations(parse_grammar(SMALL), text)] == [pytest.approx(-math.log(p))]


def test_the_exact_floor_agrees_with_the_mean_over_many_stories():
    told = list(stories(5, 3000))
    codec = tokenizer.train(lines=[each.text for each in told[:800]], vocab_size=600)
    found = floor(storyland(), codec)
    samples = {
        "nats": [each.nats for each in told],
        "tokens": [len(codec.encode(each.text)) + 1 for each in told],
        "characters": [len(each.text) for each in told],
    }
    for name, values in samples.items():
        error = np.std(values) / math.sqrt(len(values))
        assert abs(np.mean(values) - getattr(found, name)) < 3.5 * error, name


def test_the_shipped_tokenizer_leaves_at_least_0_6_nats_per_token():
    found = floor(storyland(), builtin.codec())
    assert found.per_token >= 0.6
    assert found.per_character == pytest.approx(found.nats / found.characters)


def test_there_are_over_300_different_words():
    words = {word for told in stories(1, 4000) for word in re.findall(r"[a-z]+", told.text.lower())}
    assert len(words) > 300


def test_facts_are_needed_again_30_tokens_later_and_more():
    """The last mention of a thing or a name is often far from the mention before it."""
    codec, grammar, far = builtin.codec(), storyland(), 0
    for told in stories(2, 200):
        (_, facts) = derivations(grammar, told.text)[0]
        for fact in ("hero", "thing", "friend", "colour", "place"):
            pattern = rf"\b{facts[fact].text}\b"
            at = [len(codec.encode(told.text[: m.start()])) for m in re.finditer(pattern, told.text)]
            far += any(later - earlier >= 30 for earlier, later in pairwise(at))
    assert far >= 200


def test_a_story_is_a_pure_function_of_seed_and_number():
    assert [each.text for each in stories(4, 20)][7] == story(4, 7).text
    assert story(4, 7) != story(5, 7)
    assert len({each.text for each in stories(4, 500)}) == 500


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("list a\n  b", "must have a rule story"),
        ("rule story\n  [nowhere]", "calls nowhere"),
        ("rule story\n  {nothing}", "names nothing"),
        ("hello", "line 1"),
        ("list a | b\n  c\nrule story\n  {a}", "must fill 1 columns"),
    ],
)
def test_a_grammar_that_cannot_be_read_says_where(text, part):
    with pytest.raises(MinilmError, match=part):
        parse_grammar(text)
