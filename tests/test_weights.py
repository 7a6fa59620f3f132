"""The first weights follow from the seed and from a written formula; weights that do not fit are named."""

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.records import ModelConfig
from minilm.weights import LazyArrays, check_weights, initial_weights, weight_shapes

CONFIG = ModelConfig(300, 40, 25, layers=2, seed=3)


def test_the_first_weights_have_the_bounds_of_their_formula_in_every_dtype():
    """Uniform numbers between -b and b have the standard deviation b / sqrt(3)."""
    arrays = initial_weights(CONFIG, "float64")
    assert {name: array.shape for name, array in arrays.items()} == weight_shapes(CONFIG)
    assert arrays["embedding"].mean() == pytest.approx(0, abs=0.03)
    assert arrays["embedding"].std() == pytest.approx(1, abs=0.03)
    for name in ("lstm.0.kernel", "lstm.1.recurrent", "head.kernel"):
        assert np.abs(arrays[name]).max() < 1 / 5
        assert arrays[name].std() == pytest.approx(0.2 / np.sqrt(3), rel=0.05)
    assert arrays["lstm.1.bias"].tolist() == [0] * 25 + [1] * 25 + [0] * 50
    assert not arrays["head.bias"].any()
    for name, array in initial_weights(CONFIG).items():
        assert array.dtype == np.float32
        assert np.array_equal(array, arrays[name].astype(np.float32))


def test_the_first_weights_are_a_function_of_the_seed_and_no_two_arrays_share_numbers():
    first, again = initial_weights(CONFIG), initial_weights(CONFIG)
    assert all(np.array_equal(array, again[name]) for name, array in first.items())
    other = initial_weights(ModelConfig(300, 40, 25, layers=2, seed=4))
    for name in ("embedding", "lstm.0.recurrent", "lstm.1.recurrent", "head.kernel"):
        assert not np.isin(other[name], first[name]).mean() > 0.01
    assert not np.isin(first["lstm.0.recurrent"], first["lstm.1.recurrent"]).mean() > 0.01


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head.bias": None}, r"Weight head\.bias is missing; got embedding"),
        ({"head.bias": np.zeros(299)}, r"must have shape \(300,\), got \(299,\)"),
        ({"head.bias": np.full(300, np.nan)}, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, message):
    arrays = {name: value for name, value in (initial_weights(CONFIG) | change).items() if value is not None}
    with pytest.raises(MinilmError, match=message):
        check_weights(CONFIG, arrays)


def test_an_array_is_made_only_when_it_is_looked_at_and_cannot_be_written():
    made = []

    def view(name, value):
        made.append(name)
        return np.array(value)

    arrays = LazyArrays({"a": [1.0], "b": [2.0]}, view)
    assert (list(arrays), len(arrays), made) == (["a", "b"], 2, [])
    with pytest.raises(ValueError, match="read-only"):
        arrays["b"][0] = 3
    assert made == ["b"]
