"""Lesson 3: what the exercise is worth. The oracles are numbers worked by hand, and PyTorch where it is."""

import numpy as np
import pytest

HALF = np.array([0.5, 0.3, 0.2])


@pytest.fixture(scope="module")
def exercise(minilm_exercise):
    """The student's exercise.py in this folder."""
    return minilm_exercise


@pytest.mark.points(1, task="3.1")
def test_softmax_gives_probabilities_for_any_logits(exercise):
    assert exercise.softmax(np.log(HALF)) == pytest.approx(HALF)
    large = exercise.softmax(np.array([1000.0, 1000.0]))
    assert large == pytest.approx([0.5, 0.5]), "large logits are no reason for numbers that are none"


@pytest.mark.points(1, task="3.1")
def test_the_temperature_sharpens_or_flattens(exercise):
    assert exercise.softmax(np.array([0.0, np.log(3)]), 0.5) == pytest.approx([0.1, 0.9]), "1 to 3 squared"
    assert exercise.softmax(np.array([0.0, np.log(9)]), 2.0) == pytest.approx([0.25, 0.75]), "1 to root of 9"


@pytest.mark.points(1, task="3.2")
def test_top_k_keeps_the_best_and_sums_to_one(exercise):
    assert exercise.top_k(np.array([0.2, 0.5, 0.3]), 2) == pytest.approx([0, 0.625, 0.375])
    assert exercise.top_k(HALF, 99) == pytest.approx(HALF), "k above V keeps all"


@pytest.mark.points(1, task="3.2")
def test_top_k_keeps_ties(exercise):
    kept = exercise.top_k(np.array([0.4, 0.25, 0.25, 0.1]), 2)
    assert np.flatnonzero(kept).tolist() == [0, 1, 2], "1 and 2 are equally likely, so both stay"


@pytest.mark.points(2, task="3.3")
def test_top_p_keeps_the_token_that_crosses_the_line(exercise):
    for mass, kept in [(0, [0]), (0.49, [0]), (0.51, [0, 1]), (0.79, [0, 1]), (0.81, [0, 1, 2])]:
        p = exercise.top_p(HALF, mass)
        assert np.flatnonzero(p).tolist() == kept, f"top_p([0.5, 0.3, 0.2], {mass})"
        assert p.sum() == pytest.approx(1)
    assert exercise.top_p(HALF[::-1], 0.6) == pytest.approx([0, 0.375, 0.625]), "in any order of the tokens"


@pytest.mark.points(1, task="3.4")
def test_entropy_is_the_logarithm_of_the_choices(exercise):
    assert exercise.entropy(np.full(8, 1 / 8)) == pytest.approx(np.log(8)), "8 equal choices: ln 8"
    assert exercise.entropy(np.array([1.0, 0.0])) == pytest.approx(0), "no choice, no uncertainty"
    assert exercise.entropy(np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])) == pytest.approx(1.487798, abs=1e-6)


@pytest.mark.points(1, task="3.5")
def test_the_draw_falls_on_intervals_closed_below(exercise):
    p = np.array([0.25, 0.5, 0.25])
    for u, token in [(0.0, 0), (0.2499, 0), (0.25, 1), (0.7499, 1), (0.75, 2), (0.9999, 2)]:
        assert exercise.draw(p, u) == token, f"draw([0.25, 0.5, 0.25], {u})"
    assert exercise.draw(np.array([0.0, 1.0, 0.0]), 0.0) == 1, "token 0 owns nothing, not even u = 0"


@pytest.mark.points(1, task="3.5")
def test_many_draws_are_as_frequent_as_the_probabilities(exercise):
    drawn = [exercise.draw(HALF, u) for u in (np.arange(1000) + 0.5) / 1000]
    assert np.bincount(drawn, minlength=3).tolist() == [500, 300, 200]


@pytest.mark.points(1, task="3.6")
def test_cosine_knows_direction_and_not_length(exercise):
    assert exercise.cosine(np.array([3.0, 4.0]), np.array([8.0, 6.0])) == pytest.approx(0.96), (
        "48 of 5 times 10"
    )
    assert exercise.cosine(np.array([2.0, 0.0]), np.array([0.0, 5.0])) == pytest.approx(0)
    assert exercise.cosine(np.zeros(2), np.ones(2)) == 0, "an all-zero vector has no direction"
