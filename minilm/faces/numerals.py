"""How numbers are written: few digits, never a wrong one, aligned at the point.

A probability that is not 0 is never written as 0; a draw is never written as if it lay outside.
"""

from __future__ import annotations

from collections.abc import Iterable

from minilm.records import Array

__all__ = ["count", "fixed", "interval", "probability", "signed", "vector"]


def fixed(value: float, digits: int = 2) -> str:
    """A number with so many decimals; minus infinity as -inf, and no minus sign before a zero.

    >>> fixed(5.214), fixed(-0.001), fixed(float("-inf"))
    ('5.21', '0.00', '-inf')
    """
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def signed(value: float, digits: int = 2) -> str:
    """A change or a cosine: always with its sign.

    >>> signed(0.1234), signed(-0.5), signed(0.0)
    ('+0.12', '-0.50', '+0.00')
    """
    text = fixed(value, digits)
    return text if text.startswith("-") else "+" + text


def probability(p: float) -> str:
    """Three decimals, more for what is small; 0 and 1 alone mean exactly that.

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
    """A draw and the interval it fell in, with as many decimals as keep it inside.

    >>> interval(0.37, 0.0, 0.62), interval(0.61996, 0.0, 0.62)
    ('u 0.370 in [0.000,0.620)', 'u 0.61996 in [0.00000,0.62000)')
    """
    for digits in range(3, 16):
        a, x, b = (f"{value:.{digits}f}" for value in (low, u, high))
        if float(a) <= float(x) < float(b) and (a != x or u == low):
            return f"u {x} in [{a},{b})"
    return f"u {u!r} in [{low!r},{high!r})"


def count(number: int) -> str:
    """A whole number with commas.

    >>> count(245760)
    '245,760'
    """
    return f"{number:,}"


def vector(values: Array, head: int = 2, tail: int = 1) -> str:
    """The first and last numbers of a vector (E,).

    >>> import numpy as np
    >>> vector(np.array([0.31, -1.02, 5.0, 0.08])), vector(np.array([1.0, 2.0]))
    ('[0.31 -1.02 … 0.08]', '[1.00 2.00]')
    """
    if len(values) <= head + tail:
        return f"[{_spaced(values)}]"
    return f"[{_spaced(values[:head])} … {_spaced(values[-tail:])}]"


def _spaced(values: Iterable[float]) -> str:
    return " ".join(fixed(float(value)) for value in values)
