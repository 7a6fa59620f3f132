"""Every backend reads alike; the oracle is an independent net of plain PyTorch."""

import numpy as np
import pytest

from minilm.backends import create
from minilm.protocols import Attributable, Inspectable, LanguageModel, Trainable
from minilm.records import ModelConfig

IDS = [3, 1, 4, 1, 5, 9]


def test_a_backend_satisfies_every_protocol(model):
    for protocol in (LanguageModel, Inspectable, Trainable, Attributable):
        assert isinstance(model, protocol)
    assert (model.vocab_size, model.embedding_size, model.context_size) == (13, 5, None)
    assert (model.dtype, model.device) == ("float64", "cpu")


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_logits_are_those_of_plain_torch_for_one_to_three_layers(backend, oracle, layers):
    config = ModelConfig(11, 4, 5, layers=layers, seed=layers)
    model = create(backend, config, "float64")
    expected = oracle(config, model.weights()).logits([IDS]).detach().numpy()[0]
    np.testing.assert_allclose(model.read(IDS, rows="all").logits, expected, atol=1e-13)
    np.testing.assert_allclose(model.read(IDS).logits, expected[-1:], atol=1e-13)


def test_split_reading_equals_whole_reading(model):
    whole = model.read(IDS, rows="all").logits
    for cut in range(1, len(IDS)):
        first = model.read(IDS[:cut], rows="all")
        rest = model.read(IDS[cut:], first.state, rows="all")
        np.testing.assert_allclose(np.concatenate([first.logits, rest.logits]), whole, atol=1e-13)
    state, rows = None, []
    for one in IDS:
        reading = model.read([one], state)
        state = reading.state
        rows.append(reading.logits[0])
    np.testing.assert_allclose(rows, whole, atol=1e-13)


def test_an_old_state_stays_usable(model):
    state = model.read(IDS).state
    first = model.read([2], state).logits.copy()
    model.read([7], state)
    model.read([7, 8, 2], state)
    assert np.array_equal(model.read([2], state).logits, first)


def test_embeddings_are_rows_of_the_table(model):
    reading = model.read(IDS)
    assert np.array_equal(reading.embeddings, model.embedding_table()[IDS])
    assert np.array_equal(model.embedding_table(), model.weights()["embedding"])


def test_the_head_turns_the_last_hidden_state_into_logits(model):
    reading = model.read(IDS, rows="all", inner=["hidden.1"])
    kernel, bias = model.head()
    np.testing.assert_allclose(reading.inner["hidden.1"] @ kernel + bias, reading.logits, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gates_cells_and_hidden_states_fit_one_another(backend, dtype):
    model = create(backend, ModelConfig(13, 5, 6, layers=2), dtype)
    before = model.read(IDS[:2], inner=["cell.0", "cell.1"])
    names = [f"{kind}.{layer}" for layer in (0, 1) for kind in ("hidden", "cell", "gates")]
    reading = model.read(IDS[2:], before.state, inner=names)
    assert list(reading.inner) == names
    for layer in (0, 1):
        i, f, g, o = np.split(reading.inner[f"gates.{layer}"], 4, axis=1)
        cells = np.concatenate([before.inner[f"cell.{layer}"][-1:], reading.inner[f"cell.{layer}"]])
        np.testing.assert_allclose(cells[1:], f * cells[:-1] + i * g, atol=1e-6)
        np.testing.assert_allclose(reading.inner[f"hidden.{layer}"], o * np.tanh(cells[1:]), atol=1e-6)


def test_what_is_carried_does_not_depend_on_what_is_looked_at(model):
    plain, watched = model.read(IDS, rows="all"), model.read(IDS, rows="all", inner=["gates.0"])
    assert np.array_equal(plain.logits, watched.logits)


def test_what_is_handed_out_is_read_only(model, batch):
    reading = model.read(IDS, inner=["gates.0"])
    gradients = model.gradients(*batch)
    shown = [reading.logits, reading.embeddings, reading.inner["gates.0"], gradients.losses]
    shown += [*gradients.arrays.values(), *model.weights().values(), *model.head(), model.embedding_table()]
    assert not any(array.flags.writeable for array in shown)


@pytest.mark.parametrize("of", ["logp", "logit"])
@pytest.mark.parametrize("against", [None, 2])
def test_an_embedding_gradient_is_the_numeric_one(backend, of, against):
    """The embeddings are nudged in the weights themselves, so reading alone is the oracle."""
    config = ModelConfig(7, 3, 4, layers=2, seed=5)
    model = create(backend, config, "float64")
    arrays = {name: np.array(array) for name, array in model.weights().items()}
    ids, scale, step = [1, 3, 6], 0.7, 1e-6
    value, gradient = model.embedding_gradient(ids, 4, against, scale, of)

    def measured(table):
        logits = create("numpy", config, "float64", weights=arrays | {"embedding": table}).read(ids).logits[0]
        scores = logits - np.log(np.exp(logits).sum()) if of == "logp" else logits
        return scores[4] - (0 if against is None else scores[against])

    scaled = arrays["embedding"] * scale
    assert value == pytest.approx(measured(scaled), abs=1e-12)
    for t, token in enumerate(ids):
        for column in range(3):
            up, down = scaled.copy(), scaled.copy()
            up[token, column] += step
            down[token, column] -= step
            slope = (measured(up) - measured(down)) / (2 * step)
            assert gradient[t, column] == pytest.approx(slope, abs=1e-8)
