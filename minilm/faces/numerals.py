"""Write numbers with few digits, but never misleading ones.

A probability that is not 0 is never written as 0, and a draw is never written as if it were outside its
interval.
"""

from __future__ import annotations

from collections.abc import Iterable

from minilm.records import Array

__all__ = ["count", "fixed", "interval", "probability", "signed", "vector"]


def fixed(value: float, digits: int = 2) -> str:
    """Return a number with `digits` decimals; minus infinity is -inf, and a zero has no minus sign.

    >>> fixed(5.214), fixed(-0.001), fixed(float("-inf"))
    ('5.21', '0.00', '-inf')
    """
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, as for a change or a cosine.

    >>> signed(0.1234), signed(-0.5), signed(0.0)
    ('+0.12', '-0.50', '+0.00')
    """
    text = fixed(value, digits)
    return text if text.startswith("-") else "+" + text


def probability(p: float) -> str:
    """Return a probability with three decimals, or more near 0 and 1. "0" and "1" mean exactly 0 and 1.

    >>> probability(0.41), probability(0), probability(3.2e-7), probability(0.9999), probability(1)
    ('0.410', '0', '3e-7', '0.9999', '1')
    """
    if p in (0, 1):
        return str(int(p))
    if p < 0.0005:
        mantissa, power = f"{p:.0e}".split("e")
        return f"{mantissa}e{int(power)}"
    if p < 0.9995:
        return f"{p:.3f}"
    return next((text for d in range(4, 8) if float(text := f"{p:.{d}f}") < 1), "1.000")


def interval(u: float, low: float, high: float) -> str:
    """Return a draw and the interval it fell in, with enough decimals to show that it is inside.

    >>> interval(0.37, 0.0, 0.62), interval(0.61996, 0.0, 0.62)
    ('u 0.370 in [0.000,0.620)', 'u 0.61996 in [0.00000,0.62000)')
    """
    for digits in range(3, 16):
        a, x, b = (f"{value:.{digits}f}" for value in (low, u, high))
        if float(a) <= float(x) < float(b) and (a != x or u == low):
            return f"u {x} in [{a},{b})"
    return f"u {u!r} in [{low!r},{high!r})"


def count(number: int) -> str:
    """Return a whole number with commas.

    >>> count(245760)
    '245,760'
    """
    return f"{number:,}"


def vector(values: Array, head: int = 2, tail: int = 1) -> str:
    """Return the first and last numbers of a vector.

    Args:
        values: the vector, (E,).
        head: how many of the first numbers to show.
        tail: how many of the last numbers to show.

    >>> import numpy as np
    >>> vector(np.array([0.31, -1.02, 5.0, 0.08])), vector(np.array([1.0, 2.0]))
    ('[0.31 -1.02 … 0.08]', '[1.00 2.00]')
    """
    if len(values) <= head + tail:
        return f"[{_join(values)}]"
    return f"[{_join(values[:head])} … {_join(values[-tail:])}]"


def _join(values: Iterable[float]) -> str:
    return " ".join(fixed(float(value)) for value in values)
