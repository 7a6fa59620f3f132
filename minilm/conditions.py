"""Conditions such as `entropy > 3 and rank > 5`, read by a small grammar and never evaluated as code.

    condition  = all { "or" all }          all = one { "and" one }
    one        = "not" one | "(" condition ")" | value [ operator value ]
    value      = number | 'text' | name | name "(" [ number or 'text' { "," ... } ] ")"
    operator   = < <= > >= == != ~         (a ~ b: text a contains text b)

The caller says what the names mean. A comparison with a missing value is false.
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

__all__ = ["Condition", "Lookup", "parse_condition"]

Lookup = Callable[[str, tuple[Any, ...]], Any]
"""Gives the value of a name and its arguments (none for a name without brackets); None if it is missing."""

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
    """A condition that was read; call it with a lookup of names.

    Attributes:
        text: The condition as it was written.
        test: Gives its value from a lookup.
    """

    text: str
    test: Callable[[Lookup], Any]

    def __call__(self, lookup: Lookup) -> bool:
        """Return whether it is true of the values that the lookup gives."""
        return bool(self.test(lookup))


def parse_condition(text: str, names: Collection[str], functions: Collection[str] = ()) -> Condition:
    """Read a condition.

    Args:
        text: The condition.
        names: The names that it may use.
        functions: The names that it may use with arguments, such as `p('fox')`.

    Raises:
        MinilmError: The condition cannot be read; the message names the column.

    >>> condition = parse_condition("entropy > 3 and not text ~ 'a'", ["entropy", "text"])
    >>> condition(lambda name, _: {"entropy": 3.5, "text": "b"}[name])
    True
    """
    if len(text) > _LONGEST:
        raise MinilmError(f"A condition may take {_LONGEST} characters, got {len(text)}")
    reader = _Reader(text, names, functions)
    test = reader.read_or(0)
    if reader.kind:
        reader.fail("an operator, 'and' or 'or'")
    return Condition(text, test)


class _Reader:
    """Reads one text by recursive descent: a method for each rule of the grammar.

    Attributes:
        kind: The kind of the next token, "" at the end.
        value: The next token.
        start: The place where it begins.
        end: The place behind it.
    """

    def __init__(self, text: str, names: Collection[str], functions: Collection[str]) -> None:
        self.text, self.names, self.functions = text, names, functions
        self.start = self.end = 0
        self.kind = self.value = ""
        self.read_next()

    def read_next(self) -> str:
        """Read the token after the next one, and return the next one."""
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
        """Raise MinilmError that names the place of the next token."""
        found = repr(self.text[self.start :][:20]) if self.text[self.start :].strip() else "the end"
        place = f"In the condition {self.text!r}, column {self.start + 1}"
        raise MinilmError(f"{place}: {wanted} expected, got {found}")

    def read_or(self, depth: int) -> Callable[[Lookup], Any]:
        if depth > 50:
            raise MinilmError("A condition may nest 50 brackets, got more")
        tests = [self.read_and(depth)]
        while self.value == "or" and self.kind == "name":
            self.read_next()
            tests.append(self.read_and(depth))
        return tests[0] if len(tests) == 1 else lambda lookup: any(test(lookup) for test in tests)

    def read_and(self, depth: int) -> Callable[[Lookup], Any]:
        tests = [self.read_one(depth)]
        while self.value == "and" and self.kind == "name":
            self.read_next()
            tests.append(self.read_one(depth))
        return tests[0] if len(tests) == 1 else lambda lookup: all(test(lookup) for test in tests)

    def read_one(self, depth: int) -> Callable[[Lookup], Any]:
        if self.kind == "name" and self.value == "not":
            self.read_next()
            inner = self.read_one(depth + 1) if depth < 50 else self.read_or(depth + 1)
            return lambda lookup: not inner(lookup)
        if self.value == "(" and self.kind == "sign":
            self.read_next()
            inner = self.read_or(depth + 1)
            self.expect(")")
            return inner
        left = self.read_value()
        if self.kind != "sign" or self.value not in _OPERATORS:
            return left
        compare = _OPERATORS[self.read_next()]
        return _compare(left, compare, self.read_value())

    def expect(self, sign: str) -> None:
        if self.value != sign or self.kind != "sign":
            self.fail(repr(sign))
        self.read_next()

    def read_value(self) -> Callable[[Lookup], Any]:
        if self.kind in ("number", "text"):
            value = self.read_literal()
            return lambda _: value
        name = self.value
        if self.kind != "name" or name in _WORDS:
            self.fail("a name, a number or a quoted text")
        if name not in self.names and name not in self.functions:
            self.fail(f"one of {', '.join([*self.names, *(f'{f}(...)' for f in self.functions)])}")
        self.read_next()
        arguments = self.read_arguments() if name in self.functions else ()
        return lambda lookup: lookup(name, arguments)

    def read_arguments(self) -> tuple[Any, ...]:
        self.expect("(")
        found: list[Any] = []
        while not (self.kind == "sign" and self.value == ")"):
            if found:
                self.expect(",")
            if self.kind not in ("number", "text"):
                self.fail("a number or a quoted text")
            found.append(self.read_literal())
        self.read_next()
        return tuple(found)

    def read_literal(self) -> Any:
        """Read a number or a text; escapes in a text are Python's, and unknown ones stay unchanged."""
        value: Any = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = ast.literal_eval(self.value)
        except (ValueError, SyntaxError):
            self.fail("a plain number or text")
        self.read_next()
        return value


def _compare(
    left: Callable[[Lookup], Any], compare: Callable[[Any, Any], bool], right: Callable[[Lookup], Any]
) -> Callable[[Lookup], bool]:
    def test(lookup: Lookup) -> bool:
        a, b = left(lookup), right(lookup)
        if a is None or b is None:
            return False
        try:
            return compare(a, b)
        except TypeError:
            raise MinilmError(
                f"A condition compares {a!r} with {b!r}; give a number where it is a number"
            ) from None

    return test
