"""Numbers that are found quickly are those of a sort."""

import numpy as np
import pytest

from minilm.numerics import adaptive_k, contenders, rank, softmax, sorted_k


@pytest.mark.parametrize("size", [1, 7, 300, 1_000, 4_001, 30_000])
def test_contenders_hold_the_n_largest_whatever_ties_and_infinities(size):
    """Oracle: a sort. Sizes on both sides of the least with blocks; few are kept of many."""
    dice = np.random.default_rng(size)
    for digits in (0, 1, 9):
        values = dice.normal(size=size).round(digits).astype(np.float32)
        values[dice.random(size) < dice.choice([0.0, 0.5, 0.99])] = -np.inf
        before = values.copy()
        for n in {n for n in (1, 2, 41, 64, size) if n <= size}:
            few = contenders(values, n)
            np.testing.assert_array_equal(np.sort(few)[few.size - n :], np.sort(values)[size - n :])
            assert not np.shares_memory(few, values)
        np.testing.assert_array_equal(values, before)
    assert contenders(dice.normal(size=30_000), 64).size < 400


def test_the_adaptive_k_of_a_large_vocabulary_is_that_of_its_sorted_probabilities():
    dice = np.random.default_rng(1)
    for scale in (0.5, 3, 8):
        p = softmax(dice.normal(size=20_000) * scale)
        assert adaptive_k(p) == sorted_k(np.sort(p)[::-1][:64])


def test_a_rank_is_the_place_in_a_stable_sort():
    """Oracle: argsort, best first, the lower index first among equals; whole numbers are often equal."""
    scores = np.random.default_rng(3).integers(0, 4, 40).astype(np.float32)
    order = np.argsort(-scores, kind="stable").tolist()
    assert [order[rank(scores, i) - 1] for i in range(40)] == list(range(40))
