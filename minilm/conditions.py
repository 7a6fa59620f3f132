"""Conditions such as `entropy > 3 and rank > 5`: read by a small grammar of our own, never evaluated as code.

    condition  = all { "or" all }          all = one { "and" one }
    one        = "not" one | "(" condition ")" | value [ operator value ]
    value      = number | 'text' | name | name "(" [ number or 'text' { "," ... } ] ")"
    operator   = < <= > >= == != ~         (a ~ b: text a contains text b)

What the names mean is for the caller to say. A comparison with a value that is missing is false.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from minilm.errors import MinilmError

__all__ = ["Condition", "Lookup", "parse"]

Lookup = Callable[[str, tuple[Any, ...]], Any]
"""The value of a name and its arguments (none where it has no brackets); None where it is missing."""

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "~": lambda text, part: str(part) in str(text),
}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z_]\w*(?:\.\w+)*)"
    r"|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<sign><=|>=|==|!=|[<>~(),]))"
)
_LONGEST = 2_000
_WORDS = ("and", "or", "not")


@dataclass(frozen=True)
class Condition:
    """A condition that was understood; call it with a lookup of names."""

    text: str
    test: Callable[[Lookup], Any]

    def __call__(self, lookup: Lookup) -> bool:
        """Whether it holds for the values that the lookup finds."""
        return bool(self.test(lookup))


def parse(text: str, names: Collection[str], functions: Collection[str] = ()) -> Condition:
    """Read a condition over these names. Raises MinilmError that points at what was not understood.

    >>> condition = parse("entropy > 3 and not text ~ 'a'", ["entropy", "text"])
    >>> condition(lambda name, _: {"entropy": 3.5, "text": "b"}[name])
    True
    """
    if len(text) > _LONGEST:
        raise MinilmError(f"A condition may take {_LONGEST} characters, got {len(text)}")
    reader = _Reader(text, names, functions)
    test = reader.either(0)
    if reader.kind:
        reader.fail("an operator, 'and' or 'or'")
    return Condition(text, test)


class _Reader:
    """A recursive descent over one text; kind and value are those of the token ahead, "" at the end."""

    def __init__(self, text: str, names: Collection[str], functions: Collection[str]) -> None:
        self.text, self.names, self.functions = text, names, functions
        self.start = self.end = 0
        self.kind = self.value = ""
        self.next()

    def next(self) -> str:
        """Move on; returns the token that was ahead."""
        old = self.value
        match = _TOKEN.match(self.text, self.end)
        self.start = self.end
        if match is None:
            if rest := self.text[self.end :].strip():
                self.fail("==" if rest[0] == "=" else "a name, a number, a quoted text or an operator")
            self.kind = self.value = ""
        else:
            self.kind = str(match.lastgroup)
            self.value, self.start, self.end = match[self.kind], match.start(self.kind), match.end()
        return old

    def fail(self, wanted: str) -> None:
        """Raise, pointing at the token ahead."""
        found = repr(self.text[self.start :][:20]) if self.text[self.start :].strip() else "the end"
        place = f"In the condition {self.text!r}, column {self.start + 1}"
        raise MinilmError(f"{place}: {wanted} expected, got {found}")

    def either(self, depth: int) -> Callable[[Lookup], Any]:
        if depth > 50:
            raise MinilmError("A condition may nest 50 brackets, got more")
        tests = [self.all(depth)]
        while self.value == "or" and self.kind == "name":
            self.next()
            tests.append(self.all(depth))
        return tests[0] if len(tests) == 1 else lambda look: any(test(look) for test in tests)

    def all(self, depth: int) -> Callable[[Lookup], Any]:
        tests = [self.one(depth)]
        while self.value == "and" and self.kind == "name":
            self.next()
            tests.append(self.one(depth))
        return tests[0] if len(tests) == 1 else lambda look: all(test(look) for test in tests)

    def one(self, depth: int) -> Callable[[Lookup], Any]:
        if self.kind == "name" and self.value == "not":
            self.next()
            inner = self.one(depth + 1) if depth < 50 else self.either(depth + 1)
            return lambda look: not inner(look)
        if self.value == "(" and self.kind == "sign":
            self.next()
            inner = self.either(depth + 1)
            self.expect(")")
            return inner
        left = self.term()
        if self.kind != "sign" or self.value not in _OPERATORS:
            return left
        compare = _OPERATORS[self.next()]
        return _comparison(left, compare, self.term())

    def expect(self, sign: str) -> None:
        if self.value != sign or self.kind != "sign":
            self.fail(repr(sign))
        self.next()

    def term(self) -> Callable[[Lookup], Any]:
        if self.kind in ("number", "text"):
            value = self.literal()
            return lambda _: value
        name = self.value
        if self.kind != "name" or name in _WORDS:
            self.fail("a name, a number or a quoted text")
        if name not in self.names and name not in self.functions:
            self.fail(f"one of {', '.join([*self.names, *(f'{f}(...)' for f in self.functions)])}")
        self.next()
        arguments = self.arguments() if name in self.functions else ()
        return lambda look: look(name, arguments)

    def arguments(self) -> tuple[Any, ...]:
        self.expect("(")
        found: list[Any] = []
        while not (self.kind == "sign" and self.value == ")"):
            if found:
                self.expect(",")
            if self.kind not in ("number", "text"):
                self.fail("a number or a quoted text")
            found.append(self.literal())
        self.next()
        return tuple(found)

    def literal(self) -> Any:
        """A number or a text; escapes in a text are Python's, unknown ones stay as they are."""
        value: Any = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = ast.literal_eval(self.value)
        except (ValueError, SyntaxError):
            self.fail("a plain number or text")
        self.next()
        return value


def _comparison(
    left: Callable[[Lookup], Any], compare: Callable[[Any, Any], bool], right: Callable[[Lookup], Any]
) -> Callable[[Lookup], bool]:
    def test(look: Lookup) -> bool:
        a, b = left(look), right(look)
        if a is None or b is None:
            return False
        try:
            return compare(a, b)
        except TypeError:
            raise MinilmError(
                f"A condition compares {a!r} with {b!r}; give a number where it is a number"
            ) from None

    return test
