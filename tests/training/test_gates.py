"""The gate microscope against the frameworks' own cells, stepped one token at a time."""

import numpy as np
import pytest

from minilm import backends
from minilm.backends import gates as backend_gates
from minilm.errors import MinilmError
from minilm.records import ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule
from minilm.training.timeline.gates import gate_moment, gates_through
from minilm.training.timeline.timeline import Timeline

CONFIG = ModelConfig(20, 5, 6, layers=2, seed=1)
BATCHES = Batches([np.random.default_rng(3).integers(4, 20, 300)], 3, 8, seed=2)
IDS = [4, 7, 9, 4, 11, 19]
BACKENDS = backends.available()


def timeline(backend, dtype="float64"):
    return Timeline(backends.create(backend, CONFIG, dtype), BATCHES, Schedule(5e-2, 20))


def by_cell(weights, layer):
    """i, f, g, o, c, h of a layer, one token after another by the textbook's equations."""
    values = weights["embedding"][IDS]
    for number in range(layer + 1):
        kernel, recurrent, bias = (
            weights[f"lstm.{number}.{part}"] for part in ("kernel", "recurrent", "bias")
        )
        h, c, rows = np.zeros(6), np.zeros(6), []
        for value in values:
            z = value @ kernel + h @ recurrent + bias
            i, f, o = (1 / (1 + np.exp(-z[k * 6 : k * 6 + 6])) for k in (0, 1, 3))
            g = np.tanh(z[12:18])
            c = f * c + i * g
            h = o * np.tanh(c)
            rows.append((i, f, g, o, c, h))
        values = np.array([row[-1] for row in rows])
    return [np.array(part) for part in zip(*rows, strict=True)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layer", [0, 1])
def test_gates_over_training_steps_are_those_of_a_cell_stepped_by_hand(backend, layer):
    place = timeline(backend)
    moments = list(gates_through(place, IDS, [0, 5, 20], layer))
    assert [moment.index for moment in moments] == [0, 5, 20]
    for moment in moments:
        weights = {name: np.array(a) for name, a in place.jump(moment.index).model.weights().items()}
        for name, expected in zip("ifgoch", by_cell(weights, layer), strict=True):
            np.testing.assert_allclose(getattr(moment, name), expected, atol=1e-12, err_msg=name)
    assert np.abs(moments[0].f - moments[-1].f).max() > 1e-3, "training moved them"


def test_torch_s_own_cell_opens_and_closes_alike():
    torch = pytest.importorskip("torch")
    model = backends.create("torch", CONFIG, "float64")
    layer = model.net.layers[0]
    cell = torch.nn.LSTMCell(5, 6, dtype=torch.float64)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    moment, state = gate_moment(model, IDS), None
    with torch.no_grad():
        for t, token in enumerate(IDS):
            state = cell(model.net.embedding.weight[token][None], state)
            np.testing.assert_allclose(moment.h[t], state[0][0].numpy(), atol=1e-14)
            np.testing.assert_allclose(moment.c[t], state[1][0].numpy(), atol=1e-14)


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_gates_that_miss_the_layer_s_own_output_are_refused_each_time(backend, monkeypatch):
    pytest.importorskip(backend)
    model = backends.create(backend, CONFIG)
    real = backend_gates.activate_gates
    monkeypatch.setattr(backend_gates, "activate_gates", lambda z: real(z) + np.float32(1e-4))
    with pytest.raises(MinilmError, match="miss the layer's own output"):
        gate_moment(model, IDS)


def test_a_row_says_means_norms_and_what_is_saturated():
    moment = gate_moment(backends.create("numpy", CONFIG, "float64"), IDS)
    row = moment.rows()[2]
    assert (row.id, row.i, row.c) == (
        9,
        pytest.approx(moment.i[2].mean()),
        pytest.approx(np.linalg.norm(moment.c[2])),
    )
    outer = np.concatenate([moment.i[2], moment.f[2], moment.o[2]])
    assert row.saturated == pytest.approx(np.mean((outer < 0.1) | (outer > 0.9)))


@pytest.mark.parametrize("layer", [-1, 2])
def test_a_layer_that_is_not_there_is_named(layer):
    with pytest.raises(MinilmError, match=r"from 0|hidden\.0"):
        gate_moment(backends.create("numpy", CONFIG), IDS, layer)
