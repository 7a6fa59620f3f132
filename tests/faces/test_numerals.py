"""Numbers in few digits that still tell the truth."""

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from minilm.faces.numerals import fixed, interval, probability, signed

shares = st.floats(0, 1)


@given(shares)
def test_only_zero_is_written_as_zero_and_the_rest_to_half_a_percent_or_better(p):
    shown = probability(p)
    assert (float(shown) == 0) is (p == 0)
    assert shown != "1" or p == 1
    assert abs(float(shown) - p) <= max(0.0005, p / 2) + 1e-12
    assert len(shown) <= 9


def test_small_probabilities_keep_their_first_digit():
    assert [probability(p) for p in (3.2e-7, 0.0004, 1e-300)] == ["3e-7", "4e-4", "1e-300"]


def test_a_probability_just_below_1_has_as_many_digits_as_tell_it_from_1():
    assert [probability(p) for p in (0.9995, 0.99991, 0.9999993)] == ["0.9995", "0.9999", "0.999999"]


@given(shares, shares, shares)
def test_a_draw_is_never_written_outside_its_interval_nor_on_an_edge_where_it_is_not(a, b, c):
    low, u, high = sorted((a, b, c))
    assume(low <= u < high)
    x, left, right = map(float, re.fullmatch(r"u (\S+) in \[(\S+),(\S+)\)", interval(u, low, high)).groups())
    assert left <= x < right
    assert (left == x) is (low == u)


@given(st.floats(-1e6, 1e6))
def test_no_zero_has_a_minus_sign(value):
    assert fixed(value) != "-0.00"
    assert signed(value)[0] in "+-"
