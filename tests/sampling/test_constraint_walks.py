"""Random constraints, walked through at random; the oracles know nothing of llguidance, and ask every piece.

What may follow is a value with then(byte), None where nothing may, and whole: of a list of texts, or of a
regular expression by its derivatives.
"""

import json
import random
import re
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import pytest

from minilm.sampling import Context
from minilm.sampling.constraints.stage import Choice, Grammar, JsonSchema, Regex

pytest.importorskip("llguidance", reason="constraints are llguidance's")

WORDS = [
    "a",
    "b",
    "Yes",
    "No",
    " fox",
    "the fox",
    "größer",
    "中文",
    "😀",
    "👩‍👩‍👧",
    " ",
    "  ",
    "\n",
    "\t",
    '"',
    "\\",
]
WORDS += ["Once upon a time", "Once", "said:", "é", "é", ".", "12", "</s>", "\u200b", "Ω~"]
STEPS = 12


@dataclass(frozen=True)
class Texts:
    """What is left of some texts."""

    left: tuple

    def then(self, byte):
        left = tuple(text[1:] for text in self.left if text[:1] == bytes([byte]))
        return Texts(left) if left else None

    @property
    def whole(self):
        return b"" in self.left


@dataclass(frozen=True)
class Expression:
    """A regular expression over bytes, with its derivatives (Brzozowski, 1964).

    kind: "byte" (one of these), "row" (all parts in turn), "either" (one of the parts), "star".
    """

    kind: str
    parts: tuple = ()

    @property
    def whole(self):
        if self.kind == "either":
            return any(part.whole for part in self.parts)
        return self.kind == "star" or (self.kind == "row" and all(part.whole for part in self.parts))

    def then(self, byte):
        if self.kind == "byte":
            return EMPTY if byte in self.parts else None
        if self.kind == "either":
            return either(*(part.then(byte) for part in self.parts))
        if self.kind == "star":
            return row(self.parts[0].then(byte), self)
        if not self.parts:
            return None
        first, rest = self.parts[0], row(*self.parts[1:])
        return either(row(first.then(byte), rest), rest.then(byte) if first.whole else None)


EMPTY = Expression("row")


def row(*parts):
    if None in parts:
        return None
    flat = [p for part in parts for p in (part.parts if part.kind == "row" else (part,))]
    return flat[0] if len(flat) == 1 else Expression("row", tuple(flat))


def either(*parts):
    flat = [p for part in parts if part for p in (part.parts if part.kind == "either" else (part,))]
    flat = list(dict.fromkeys(flat))
    return (flat[0] if len(flat) == 1 else Expression("either", tuple(flat))) if flat else None


def one_of(*ranges):
    """A character of as many bytes as there are ranges."""
    return row(*(Expression("byte", tuple(range(low, high + 1))) for low, high in ranges))


TAIL = (0x80, 0xBF)
BEYOND = [  # every character past ASCII, as UTF-8 writes it
    one_of((0xC2, 0xDF), TAIL),
    one_of((0xE0, 0xE0), (0xA0, 0xBF), TAIL),
    one_of((0xE1, 0xEC), TAIL, TAIL),
    one_of((0xED, 0xED), (0x80, 0x9F), TAIL),
    one_of((0xEE, 0xEF), TAIL, TAIL),
    one_of((0xF0, 0xF0), (0x90, 0xBF), TAIL, TAIL),
    one_of((0xF1, 0xF3), TAIL, TAIL, TAIL),
    one_of((0xF4, 0xF4), (0x80, 0x8F), TAIL, TAIL),
]


def literal(text):
    return row(*(Expression("byte", (byte,)) for byte in text.encode()))


def random_regex(rng, depth=3):
    """A pattern that Python's re and Rust's read alike, and the expression that says the same."""
    kind = rng.choice(["text", "class", "row", "either", "many"]) if depth else "text"
    if kind == "text":
        text = rng.choice(WORDS)
        return re.escape(text), literal(text)
    if kind == "class":
        low, high = sorted(rng.choices(range(33, 127), k=2))
        if rng.random() < 0.7:
            return f"[\\x{low:02x}-\\x{high:02x}]", one_of((low, high))
        return f"[^\\x{low:02x}-\\x{high:02x}]", either(
            one_of((0, low - 1)), one_of((high + 1, 127)), *BEYOND
        )
    if kind in ("row", "either"):
        patterns, parts = zip(*(random_regex(rng, depth - 1) for _ in range(rng.randint(2, 3))), strict=True)
        if kind == "row":
            return "".join(f"(?:{p})" for p in patterns), row(*parts)
        return f"(?:{'|'.join(patterns)})", either(*parts)
    pattern, part = random_regex(rng, depth - 1)
    sign = rng.choice(["*", "+", "?", "{2,3}", "{0,2}", "{1,4}"])
    least = {"+": 1, "?": 0, "*": 0}.get(sign, int(sign[1:2] or 0))
    often = (
        [Expression("star", (part,))]
        if sign in "*+"
        else [either(EMPTY, part)] * (1 if sign == "?" else int(sign[3]) - least)
    )
    return f"(?:{pattern}){sign}", row(*[part] * least, *often)


def random_grammar(rng):
    """A grammar of a few rules without recursion, and all its texts."""
    texts, lines = [], []
    for number in reversed(range(rng.randint(2, 4))):
        options = []
        for _ in range(rng.randint(1, 3)):
            parts = [
                (json.dumps(w, ensure_ascii=False), [w]) for w in rng.choices(WORDS, k=rng.randint(1, 2))
            ]
            if texts and rng.random() < 0.8:
                parts.insert(rng.randint(0, 2), (f"rule{number + 1}", texts))
            options.append(parts)
        texts = list(dict.fromkeys("".join(t) for parts in options for t in product(*(p[1] for p in parts))))
        name = f"rule{number}" if number else "start"
        lines.append(f"{name}: {' | '.join(' '.join(p[0] for p in parts) for parts in options)}")
    return "\n".join(reversed(lines)), texts


def random_schema(rng, depth=2):
    """A schema with few values, and each of them."""
    kind = rng.choice(["enum", "integer", "boolean", "object", "array"] if depth else ["enum", "boolean"])
    if kind == "enum":
        values = rng.sample([w for w in WORDS if w.isprintable()] + [None, True, 7, -2.5, ""], k=3)
        return {"enum": values}, values
    if kind == "boolean":
        return {"type": "boolean"}, [True, False]
    if kind == "integer":
        low = rng.randint(1, 60)
        return {"type": "integer", "minimum": low, "maximum": low + 60}, list(range(low, low + 61))
    inner, values = random_schema(rng, 0)
    if kind == "array":
        more = [[a] for a in values] + [[a, b] for a in values for b in values]
        return {"type": "array", "items": inner, "minItems": 1, "maxItems": 2}, more
    other, others = random_schema(rng, depth - 1)
    fields = {"größe": inner, 'the "fox"': other}
    schema = {"type": "object", "properties": fields, "required": ["größe"], "additionalProperties": False}
    both = [{"größe": a, 'the "fox"': b} for a in values for b in others]
    return schema, [{"größe": a} for a in values] + both


def written(value):
    return json.dumps(value, ensure_ascii=False)


def texts(them):
    return Texts(tuple(dict.fromkeys(text.encode() for text in them)))


def made(kind, rng):
    """A constraint, what may follow at its start, and whether a text satisfies it."""
    if kind == "Choice":
        them = ["".join(rng.choices(WORDS, k=rng.randint(1, 4))) for _ in range(rng.randint(1, 6))]
        both = [*them, *(" " + text for text in them)]
        return Choice(them), texts(both), both.__contains__
    if kind == "Regex":
        pattern, expression = random_regex(rng)
        return Regex(pattern), expression, lambda text: re.fullmatch(pattern, text) is not None
    if kind == "Grammar":
        lark, them = random_grammar(rng)
        return Grammar(lark), texts(them), them.__contains__
    schema, values = random_schema(rng)
    return JsonSchema(schema), texts(map(written, values)), lambda text: accepted(text, schema)


def accepted(text, schema):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(json.loads(text), schema)
    return True


def fitting(now, pieces):
    """(V,) whether each piece may follow: its bytes one by one, each beginning asked once."""
    seen = {b"": now}

    def after(raw):
        if raw not in seen:
            before = after(raw[:-1])
            seen[raw] = before and before.then(raw[-1])
        return seen[raw]

    alive = {byte for byte in range(256) if after(bytes([byte])) is not None}
    return np.array([bool(raw) and raw[0] in alive and after(raw) is not None for raw in pieces])


def context(ids):
    return Context(np.array([5, *ids]), 1)


@cache
def pieces_of(codec):
    return [codec.piece_bytes(i) for i in range(codec.vocab_size)]


def walk(codec, stage, begin, rng, steps):
    """Take allowed tokens at random; at every place both masks are compared with the oracle's.

    Gives the ids of every place, with what was allowed there, and the text where it came to an end.
    """
    pieces, eos, ids, now, places = pieces_of(codec), codec.special_ids["eos"], [], begin, []
    canonical_only = rng.random() < 0.5
    for _ in range(steps):
        masks = {kind: stage.allowed(context(ids), kind) for kind in (True, False)}
        places.append((list(ids), masks))
        expected = fitting(now, pieces)
        expected[eos] = now.whole
        wrong = np.flatnonzero(masks[False] != expected)
        assert not wrong.size, (stage, ids, [(i, pieces[i], bool(expected[i])) for i in wrong.tolist()[:5]])
        assert not (masks[True] & ~masks[False]).any(), (stage, ids)
        allowed = np.flatnonzero(masks[canonical_only]).tolist()
        assert allowed or not canonical_only, (stage, ids)
        chosen = rng.choice(allowed)
        if chosen == eos:
            break
        ids.append(chosen)
        for byte in pieces[chosen]:
            now = now.then(byte)
    raw = b"".join(pieces[i] for i in ids)
    return places, raw.decode() if now.whole else None


KINDS = ["Choice", "Regex", "Grammar", "JsonSchema"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "runs"), [("storyland", 12), ("stories", 12), ("gpt2", 1)])
def test_the_mask_by_bytes_is_that_of_an_oracle_which_asks_every_piece(request, name, runs, kind):
    """Wherever a random walk comes; and what is whole satisfies the constraint."""
    codec, ended = request.getfixturevalue(name), 0
    for seed in range(runs):
        rng = random.Random(f"{kind} {seed}")
        constraint, begin, satisfied = made(kind, rng)
        stage = constraint.bind(codec)
        for _ in range(3):
            _, text = walk(codec, stage, begin, rng, STEPS)
            if text is not None:
                ended += 1
                assert satisfied(text), (stage, text)
    assert ended >= runs / 2


def written_within(codec, text):
    """The ids of a text after a line break, as the tokenizer writes the two together."""
    whole, before = codec.encode("\n" + text), codec.encode("\n")
    assert whole[: len(before)] == before
    return whole[len(before) :]


@pytest.mark.parametrize("name", ["storyland", "stories", "gpt2"])
def test_a_canonical_token_of_a_choice_is_the_next_of_a_text_that_the_tokenizer_writes(request, name):
    codec, several = request.getfixturevalue(name), 0
    eos = codec.special_ids["eos"]
    words = [word for word in WORDS if not word[0].isspace()]
    for seed in range(15):
        rng = random.Random(seed)
        them = ["".join([rng.choice(words), *rng.choices(WORDS, k=rng.randint(0, 3))]) for _ in range(7)]
        them = [text for text in them if codec.decode(codec.encode(text)) == text]  # no blank stripped
        stage = Choice(them).bind(codec)
        spelled = [written_within(codec, space + text) for text in them for space in ("", " ")]
        for ids in [one[:n] for one in spelled for n in range(len(one) + 1)]:
            begun = [other for other in spelled if other[: len(ids)] == ids]
            expected = {*(other[len(ids)] for other in begun if other != ids), *([eos] * (ids in begun))}
            assert set(np.flatnonzero(stage.allowed(context(ids), True)).tolist()) == expected
            several += len(expected) > 1
    assert several > 15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["storyland", "stories"])
def test_a_canonical_token_is_one_that_the_tokenizer_writes_somewhere(request, name, kind):
    """Not a byte of a letter which has a piece of its own."""
    codec = request.getfixturevalue(name)
    pieces, specials = pieces_of(codec), set(codec.special_ids.values())
    offered = set()
    for seed in range(12):
        rng = random.Random(f"{kind} {seed}")
        constraint, begin, _ = made(kind, rng)
        for _, masks in walk(codec, constraint.bind(codec), begin, rng, STEPS)[0]:
            offered |= set(np.flatnonzero(masks[True]).tolist())
    for i in offered - specials:
        text = pieces[i].decode(errors="ignore")
        if text.encode() == pieces[i]:
            around = (before + text + after for before in ("\n", "a", ".") for after in ("", "a", "["))
            assert any(i in codec.encode(whole) for whole in around), (i, pieces[i])
    assert offered


@pytest.mark.parametrize("kind", KINDS)
def test_both_masks_are_the_same_after_rewinds_branches_and_tokens_that_do_not_fit(storyland, kind):
    """In any order, after another prompt, of the same matcher and of a fresh one."""
    for seed in range(4):
        rng = random.Random(f"{kind} {seed}")
        constraint, begin, _ = made(kind, rng)
        stage, fresh = constraint.bind(storyland), constraint.bind(storyland)
        places = [p for _ in range(4) for p in walk(storyland, stage, begin, rng, STEPS)[0]]
        for ids, masks in rng.sample(places * 2, k=2 * len(places)):
            for kept, mask in masks.items():
                again = Context(np.array([9, 9, 7, *ids]), 3)
                assert np.array_equal(stage.allowed(context(ids), kept), mask)
                assert np.array_equal(fresh.allowed(again, kept), mask)
            bad = np.flatnonzero(~masks[False])
            assert stage.ending(context([*ids, rng.choice(bad.tolist())])) is not None


def test_digits_of_a_regex_are_those_of_unicode(storyland):
    byte = {raw: i for i, raw in enumerate(pieces_of(storyland)) if len(raw) == 1}
    arabic = [byte[bytes([b])] for b in "٣".encode()]
    assert Regex(r"\d").bind(storyland).ending(context(arabic)) == "Regex is complete"
    assert "does not fit" in Regex("[0-9]").bind(storyland).ending(context(arabic))
