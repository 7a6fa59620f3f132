"""One rule says how far two arrays differ: NaN always differs, large numbers are scaled."""

import math

import numpy as np
import pytest

from minilm.backends import create
from minilm.comparison import run_lockstep, train_side_by_side
from minilm.comparison.defaults.diagnosis import find_gap
from minilm.comparison.student.compare import find_first_difference
from minilm.difference import absolute_difference, largest_difference, measure_difference, scale_difference
from minilm.records import ModelConfig
from minilm.trace.diff import facts_differ
from minilm.training.batches import Batch


@pytest.mark.parametrize(
    ("array", "reference", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([1.0, -math.inf], [1.0, -math.inf], 0.0),
        ([-math.inf], [3.0], math.inf),
        ([math.inf], [-math.inf], math.inf),
        ([1.0, 2.0], [1.0, 2.0, 3.0], math.inf),
        ([], [], 0.0),
        (["refused"], ["refused"], 0.0),
        (["refused"], ["accepted"], math.inf),
        (3.0, 5.0, 2.0),
    ],
)
def test_the_largest_difference(array, reference, expected):
    assert largest_difference(np.array(array), np.array(reference)) == expected


def test_a_number_that_is_none_stays_visible_and_is_past_every_tolerance():
    found = measure_difference(np.array([1.0, math.nan]), np.array([1.0, 2.0]))
    assert math.isnan(found.apart)
    assert found.scaled == math.inf
    assert math.isnan(largest_difference(np.array([math.nan]), np.array([math.nan])))


def test_float32_is_not_rounded_on_the_way():
    one, other = np.float32([1.0000001]), np.float32([1.0])
    assert largest_difference(one, other) == float(one[0]) - 1.0
    assert absolute_difference(one, other).dtype == np.float32


def test_numbers_above_one_are_scaled_and_smaller_ones_are_not():
    assert scale_difference(1e-3, 0.01) == 1e-3
    assert scale_difference(1e-3, 100.0) == 1e-5
    assert measure_difference(np.array([200.0]), np.array([100.0])).largest == 100.0


def test_every_comparison_follows_the_rule(codec):
    """A shift by 2e-5 of a number of size 4 is 5e-6 of it: with scaling, equal within 1e-5."""
    shift, size = 2e-5, 4.0
    assert not facts_differ(size, size + shift, 1e-5)
    assert facts_differ(0.5, 0.5 + shift, 1e-5)
    assert find_gap({"a": np.array([size])}, {"a": np.array([size + shift])}).apart == pytest.approx(shift)
    rows = {"logits": np.array([[size]])}, {"logits": np.array([[size + shift]])}
    assert find_first_difference(*rows, tolerance=1e-5) is None
    first = find_first_difference(*rows, tolerance=1e-5, scaled=False)
    assert first is not None
    assert first.apart == pytest.approx(shift)
    models = [create("numpy", ModelConfig(codec.vocab_size, 4, 4), "float64") for _ in range(2)]
    arrays = {name: np.array(array) for name, array in models[0].weights().items()}
    arrays["head.bias"] += size
    models[0].restore(arrays)
    models[1].restore(arrays | {"head.bias": arrays["head.bias"] + shift})
    step = next(run_lockstep(models, codec, "ab"))
    assert step.apart == pytest.approx(shift)
    assert step.scaled == pytest.approx(shift / step.largest)
    batch = Batch(np.array([[5, 6]]), np.array([[6, 7]]), np.ones((1, 2)))
    logits = next(train_side_by_side(models, [batch])).differences[0]
    assert logits.apart == pytest.approx(shift)
    assert logits.scaled == pytest.approx(shift / logits.largest)


@pytest.fixture(scope="module")
def codec():
    import tokenizer

    return tokenizer.train(lines=["abc abd bcd", "dab cab bad"], vocab_size=270)
