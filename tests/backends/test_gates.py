"""Recomputed gates are believed only where they give the layer's own output."""

import numpy as np
import pytest

from minilm.backends.gates import recompute_layer
from minilm.backends.numpy.layer import Layer, forward_through_time
from minilm.errors import MinilmError


@pytest.fixture
def layer():
    rng = np.random.default_rng(0)
    return Layer(rng.standard_normal((3, 16)), rng.standard_normal((4, 16)), rng.standard_normal(16))


def test_gates_are_those_of_the_layer_that_ran(layer):
    rng = np.random.default_rng(1)
    inputs, hidden, cell = (
        rng.standard_normal((6, 3)),
        np.tanh(rng.standard_normal(4)),
        rng.standard_normal(4),
    )
    trace = forward_through_time(layer, inputs, hidden, cell)
    found = recompute_layer(layer, inputs, trace.hidden[1:], hidden, cell)
    np.testing.assert_allclose(found["gates"], trace.gates, atol=1e-14)
    np.testing.assert_allclose(found["cell"], trace.cells[1:], atol=1e-14)


def test_a_layer_whose_numbers_are_not_finite_is_said_to_have_diverged(layer):
    with pytest.raises(MinilmError, match="not finite: the training has diverged"):
        recompute_layer(layer, np.ones((6, 3)), np.full((6, 4), np.nan), np.zeros(4), np.zeros(4))


def test_a_layer_that_orders_its_gates_otherwise_is_refused(layer):
    nothing = np.zeros(4)
    outputs = forward_through_time(layer, np.ones((6, 3)), nothing, nothing).hidden[1:]
    swapped = Layer(*(np.concatenate(np.split(part, 4, axis=-1)[::-1], axis=-1) for part in layer))
    with pytest.raises(MinilmError, match="gates in the order i, f, g, o"):
        recompute_layer(swapped, np.ones((6, 3)), outputs, nothing, nothing)
