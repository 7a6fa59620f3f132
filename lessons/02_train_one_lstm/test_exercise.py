"""Lesson 2: what the exercise is worth. The oracles are numbers worked by hand, and PyTorch where it is."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def exercise(minilm_exercise):
    """The student's exercise.py in this folder."""
    return minilm_exercise


@pytest.mark.points(1, task="2.1")
def test_a_model_that_knows_nothing_loses_the_logarithm_of_the_vocabulary(exercise):
    loss = exercise.cross_entropy(np.zeros((2, 3, 8)), np.ones((2, 3), dtype=int), np.ones((2, 3)))
    assert loss == pytest.approx(np.log(8)), "8 tokens, all equally likely: ln 8 nats"
    sure = np.array([[[1000.0, 0.0]]])
    loss = exercise.cross_entropy(sure, np.array([[0]]), np.ones((1, 1)))
    assert loss == pytest.approx(0), "a logit of 1000 is no reason for a number that is not one"


@pytest.mark.points(1, task="2.1")
def test_padding_does_not_count(exercise):
    logits = np.log([[[0.5, 0.5], [0.25, 0.75], [0.999, 0.001]]])
    loss = exercise.cross_entropy(logits, np.array([[0, 0, 1]]), np.array([[1.0, 1.0, 0.0]]))
    assert loss == pytest.approx((np.log(2) + np.log(4)) / 2), "the third target is padding"


@pytest.mark.points(1, task="2.2")
def test_gates_half_open_halve_the_memory(exercise):
    h, c = exercise.lstm_step(np.ones(3), np.ones(2), np.array([1.0, -2.0]), *_weights(np.zeros))
    assert c == pytest.approx([0.5, -1.0]), "all weights are 0, so every gate is 1/2 and the candidate is 0"
    assert h == pytest.approx(0.5 * np.tanh([0.5, -1.0]))


@pytest.mark.points(2, task="2.2")
def test_the_step_equals_the_lstm_cell_of_torch(exercise):
    torch = pytest.importorskip("torch")
    normal = np.random.default_rng(0).standard_normal
    x, h, c = normal(3), normal(2), normal(2)
    kernel, recurrent, bias = _weights(normal)
    cell = torch.nn.LSTMCell(3, 2, dtype=torch.float64)
    arrays = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": bias, "bias_hh": 0 * bias}
    cell.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    with torch.no_grad():
        expected = cell(torch.tensor(x)[None], (torch.tensor(h)[None], torch.tensor(c)[None]))
    for name, got, want in zip(
        "hc", exercise.lstm_step(x, h, c, kernel, recurrent, bias), expected, strict=True
    ):
        assert got == pytest.approx(want[0].numpy(), abs=1e-9), f"the new {name}; are the gates i, f, g, o?"


@pytest.mark.points(2, task="2.3")
def test_gradients_are_clipped_together(exercise):
    gradients = {"a": np.array([3.0]), "b": np.array([[0.0, 4.0]])}
    clipped, factor = exercise.clip(gradients, 1.0)
    assert factor == pytest.approx(0.2), "the norm over all is 5, so the factor is 1/5"
    assert clipped["a"] == pytest.approx([0.6])
    assert clipped["b"] == pytest.approx(np.array([[0.0, 0.8]]))
    assert gradients["a"] == 3, "the arrays that were given must stay as they were"
    clipped, factor = exercise.clip(gradients, 6.0)
    assert factor == 1, "a norm of 5 is within 6"
    assert clipped["a"] == pytest.approx([3.0])


@pytest.mark.points(1, task="2.4")
def test_the_first_step_of_adam_is_as_long_as_the_rate(exercise):
    zero = np.zeros(2)
    weight, m, v = exercise.adam_step(zero, np.array([10.0, -0.01]), zero, zero, step=1, rate=0.1)
    assert weight == pytest.approx([-0.1, 0.1], rel=1e-4), "whatever the gradient's size, against its sign"
    assert m == pytest.approx([1.0, -0.001]), "m is kept as it is, not divided"
    assert v == pytest.approx([0.1, 1e-7]), "v is kept as it is, not divided"


@pytest.mark.points(2, task="2.4")
def test_twenty_steps_equal_those_of_torch(exercise):
    torch = pytest.importorskip("torch")
    normal = np.random.default_rng(0).standard_normal
    weight, m, v = normal(5), np.zeros(5), np.zeros(5)
    parameter = torch.nn.Parameter(torch.tensor(weight))
    optimizer = torch.optim.Adam([parameter], lr=0.01, eps=1e-3)
    for step in range(1, 21):
        gradient = normal(5) * 1e-3
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        weight, m, v = exercise.adam_step(weight, gradient, m, v, step, rate=0.01, epsilon=1e-3)
    assert weight == pytest.approx(parameter.detach().numpy(), abs=1e-9), "is epsilon outside the root?"


def _weights(draw):
    """Kernel (3, 8), recurrent (2, 8) and bias (8,) of an LSTM with E=3 and H=2."""
    return draw((3, 8)), draw((2, 8)), draw(8)
