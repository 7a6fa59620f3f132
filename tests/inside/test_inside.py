"""The inside of a model, compared with torch.nn.LSTMCell by hand and with transformers' own outputs."""

import importlib.util

import numpy as np
import pytest

from minilm import backends
from minilm.errors import MinilmError
from minilm.inside import (
    apply_lens,
    find_neighbours,
    measure_attention,
    measure_gates,
    read_inner,
    split_over_tokens,
    split_over_units,
)
from minilm.inside.gates import STUCK
from minilm.records import ModelConfig
from minilm.weights import initial_weights

CONFIG = ModelConfig(30, 6, 9, layers=2, seed=5)
IDS = [3, 17, 8, 8, 29, 0, 11]


@pytest.fixture(params=["numpy", "torch", "tensorflow"])
def model(request):
    if not importlib.util.find_spec(request.param):
        pytest.skip(f"{request.param} is not installed")
    weights = initial_weights(CONFIG, "float64")
    # The biases of the head start at 0, and a bias that is forgotten would not show.
    weights["head.bias"] = np.random.default_rng(0).normal(size=CONFIG.vocab_size)
    return backends.create(request.param, CONFIG, "float64", weights=weights)


def by_hand(model, ids):
    """Each layer's gates, cells and hidden states from torch's sigmoid and tanh, step by step."""
    torch = pytest.importorskip("torch", reason="torch is the oracle")
    arrays = {name: torch.tensor(np.array(a)) for name, a in model.weights().items()}
    values, found = arrays["embedding"][torch.tensor(ids)], []
    for layer in range(model.config.layers):
        kernel, recurrent, bias = (arrays[f"lstm.{layer}.{part}"] for part in ("kernel", "recurrent", "bias"))
        cell_net = torch.nn.LSTMCell(values.shape[1], CONFIG.hidden_size, dtype=torch.float64)
        with torch.no_grad():
            cell_net.weight_ih.copy_(kernel.T)
            cell_net.weight_hh.copy_(recurrent.T)
            cell_net.bias_ih.copy_(bias)
            cell_net.bias_hh.zero_()
            h = c = torch.zeros(CONFIG.hidden_size, dtype=torch.float64)
            rows = []
            for x in values:
                i, f, g, o = (x @ kernel + h @ recurrent + bias).chunk(4)
                h, c = (part[0] for part in cell_net(x[None], (h[None], c[None])))
                rows.append([*(torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)), c, h])
            stacked = [torch.stack([row[k] for row in rows]).numpy() for k in range(6)]
        found.append(stacked)
        values = torch.tensor(stacked[5])
    return found


def test_gates_norms_saturation_and_half_life_equal_the_cell_by_hand(model):
    reading = read_inner(model, IDS, "gates", "cell", "hidden")
    for layer, (i, f, g, o, c, h) in enumerate(by_hand(model, IDS)):
        found = measure_gates(reading, layer)
        for name, block in zip("ifgo", (i, f, np.abs(g), o), strict=True):
            assert found.opening[name] == pytest.approx(block.mean(axis=1), abs=1e-6)
            assert found.closed[name] == pytest.approx((block < 0.1).mean(axis=1))
            assert found.open[name] == pytest.approx((block > 0.9).mean(axis=1))
        assert found.cell_norm == pytest.approx(np.sqrt((c**2).sum(axis=1)), abs=1e-6)
        assert found.hidden_norm == pytest.approx(np.sqrt((h**2).sum(axis=1)), abs=1e-6)
        product = f.prod(axis=0)
        assert 0.5 ** (len(IDS) / found.half_life) == pytest.approx(product, rel=1e-6)


def test_the_split_of_a_logit_over_the_memory_adds_up_and_equals_a_loop_by_hand(model):
    reading = read_inner(model, IDS, "gates", "cell", "hidden")
    i, f, g, o, c, _ = by_hand(model, IDS)[-1]
    kernel, bias = (np.asarray(a) for a in model.head())
    for target, against in ((4, None), (4, 9)):
        split = split_over_tokens(model, reading, target, against)
        column = kernel[:, target] - (0 if against is None else kernel[:, against])
        for t in range(len(IDS)):
            entry = i[t] * g[t]
            for later in range(t + 1, len(IDS)):
                entry = entry * f[later]
            assert split.parts[t] == pytest.approx(
                float((entry * np.tanh(c[-1]) / c[-1] * o[-1] * column).sum()), abs=1e-9
            )
        assert split.bias == pytest.approx(bias[target] - (0 if against is None else bias[against]))
        assert split.value == pytest.approx(
            reading.logits[-1, target] - (0 if against is None else reading.logits[-1, against])
        )
        assert abs(split.residual) < 1e-9
        assert split.start == pytest.approx(0, abs=1e-12)
        assert split.parts.sum() + split.start + split.bias + split.residual == pytest.approx(split.value)


def test_what_was_in_the_cell_before_has_a_part_of_its_own(model):
    first = model.read(IDS[:4])
    reading = model.read(IDS[4:], first.state, rows="all", inner=["gates.1", "cell.1"])
    split, whole = (
        split_over_tokens(model, reading, 4),
        split_over_tokens(model, read_inner(model, IDS, "gates", "cell"), 4),
    )
    assert abs(split.residual) < 1e-9
    assert split.parts == pytest.approx(whole.parts[4:], abs=1e-9)
    assert split.start == pytest.approx(whole.parts[:4].sum(), abs=1e-9)


def test_units_add_up_to_a_logit_and_to_a_difference(model):
    reading = read_inner(model, IDS, "hidden")
    kernel, bias = (np.asarray(a) for a in model.head())
    hidden = by_hand(model, IDS)[-1][5][-1]
    one, two = split_over_units(model, reading, 7), split_over_units(model, reading, 7, 12)
    assert one.shares == pytest.approx(hidden * kernel[:, 7], abs=1e-9)
    assert two.shares == pytest.approx(hidden * (kernel[:, 7] - kernel[:, 12]), abs=1e-9)
    assert one.value == pytest.approx(hidden @ kernel[:, 7] + bias[7])
    assert max(abs(one.residual), abs(two.residual)) < 1e-9


def test_neighbours_are_the_largest_cosines(model):
    table = np.asarray(model.embedding_table())
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    order = [i for i in np.argsort(-(unit @ unit[5])).tolist() if i != 5]
    found = find_neighbours(model, 5, 4)
    assert [n.id for n in found] == order[:4]
    assert [n.cosine for n in found] == pytest.approx((unit @ unit[5])[order[:4]].tolist())
    assert found[0].distance == pytest.approx(np.linalg.norm(table[order[0]] - table[5]))


@pytest.fixture(scope="module")
def gpt2():
    pytest.importorskip("transformers")
    from minilm.backends.huggingface.open import create_gpt2

    return create_gpt2(40, layers=3, heads=2, width=16, context=32, seed=1)


def test_attention_and_lens_equal_what_transformers_gives(gpt2):
    torch = pytest.importorskip("torch")
    from minilm.backends.huggingface.inner import copy_eager

    reading = read_inner(gpt2, IDS, "attention", "logit_lens", "hidden")
    with torch.no_grad():
        out = copy_eager(gpt2.net)(
            input_ids=torch.tensor([IDS]), output_attentions=True, output_hidden_states=True
        )
        norm = gpt2.net.transformer.ln_f
        states = [*(norm(h) for h in out.hidden_states[:-1]), out.hidden_states[-1]]
        guesses = [gpt2.net.lm_head(state)[0, -1].log_softmax(-1).numpy() for state in states]
    for layer in range(3):
        for found_head in measure_attention(reading, layer):
            expected = out.attentions[layer][0, found_head.head, -1].numpy()
            assert found_head.weights == pytest.approx(expected, abs=1e-6)
            assert found_head.strongest == expected.argmax()
            assert found_head.entropy == pytest.approx(-(expected * np.log(expected)).sum(), abs=1e-5)
            assert found_head.back == pytest.approx(
                sum(w * (6 - s) for s, w in enumerate(expected)), abs=1e-5
            )
    final = guesses[-1].argmax()
    for found, logp, state in zip(apply_lens(reading), guesses, out.hidden_states, strict=True):
        assert found.best[0] == logp.argmax()
        assert found.p[0] == pytest.approx(np.exp(logp.max()), abs=1e-6)
        assert found.logp == pytest.approx(logp[final], abs=1e-5)
        assert found.rank == 1 + (logp > logp[final]).sum()
        assert found.norm == pytest.approx(state[0, -1].norm().item(), rel=1e-5)
    assert apply_lens(reading)[-1].rank == 1


def test_units_of_a_transformer_add_up_to_its_logit(gpt2):
    shares = split_over_units(gpt2, read_inner(gpt2, IDS, "hidden"), 7, 12)
    assert abs(shares.residual) < 1e-5
    assert shares.bias == 0


def test_what_a_model_does_not_show_is_said(gpt2, model):
    with pytest.raises(MinilmError, match="shows no gates; it shows hidden, attention"):
        read_inner(gpt2, IDS, "gates")
    with pytest.raises(MinilmError, match="shows no attention; it shows hidden, cell, gates"):
        read_inner(model, IDS, "attention")
    with pytest.raises(MinilmError, match="ask for them"):
        measure_gates(model.read(IDS), 0)
    with pytest.raises(MinilmError, match="only an LSTM"):
        split_over_tokens(gpt2, read_inner(gpt2, IDS, "hidden"), 1)
    with pytest.raises(MinilmError, match="Id 30 is not"):
        find_neighbours(model, 30)
    with pytest.raises(MinilmError, match="Id -1 is not"):
        split_over_units(model, read_inner(model, IDS, "hidden"), 1, -1)


def test_a_unit_that_forgets_nothing_remembers_for_ever():
    """In float32 a forget gate reaches 1: its cell's half-life is infinite, and that of a closed one 0."""
    first = backends.create("numpy", CONFIG)
    weights = {name: np.array(array) for name, array in first.weights().items()}
    size = CONFIG.hidden_size
    weights["lstm.0.bias"][size : size + 2] = 100.0, -200.0
    model = backends.create("numpy", CONFIG, weights=weights)
    found = measure_gates(read_inner(model, IDS, "gates", "cell", "hidden"), 0)
    assert found.half_life[0] == np.inf
    assert found.half_life[1] == pytest.approx(0, abs=0.01)
    assert (found.half_life[2:] > 0).all()


def test_a_split_is_of_the_last_layer_or_refused(model, gpt2):
    """The head reads the last layer; to hold it against another would only look like a split."""
    with pytest.raises(MinilmError, match="of the last layer"):
        split_over_tokens(model, model.read(IDS, rows="all", inner=["gates.0", "cell.0"]), 4)
    with pytest.raises(MinilmError, match="of the last layer"):
        split_over_units(model, model.read(IDS, inner=["hidden.0"]), 4)
    with pytest.raises(MinilmError, match="of the last layer"):
        split_over_units(gpt2, gpt2.read(IDS, inner=["hidden.0", "hidden.2"]), 4)
    assert abs(split_over_units(gpt2, gpt2.read(IDS, inner=["hidden.3"]), 4).residual) < 1e-5


def test_a_lens_shows_one_token_or_more(gpt2):
    reading = read_inner(gpt2, IDS, "logit_lens", "hidden")
    assert len(apply_lens(reading, 1)[0].best) == 1
    for top in (0, -1):
        with pytest.raises(MinilmError, match=f"must be 1 or more, got {top}"):
            apply_lens(reading, top)


def test_a_stuck_gate_has_a_slope_below_one_hundredth():
    """The oracle is torch's own derivative of the sigmoid at the threshold."""
    torch = pytest.importorskip("torch")
    for gate in (STUCK, 1 - STUCK):
        z = torch.tensor(np.log(gate / (1 - gate)), requires_grad=True)
        torch.sigmoid(z).backward()
        assert 0.0099 <= z.grad.item() + 1e-12 < 0.01


def test_the_doctor_and_the_tables_take_their_thresholds_from_one_place(monkeypatch):
    """Moving a threshold here moves what the doctor counts; the timeline's are the same numbers."""
    from minilm.doctor.batch import measure_saturation
    from minilm.inside import gates
    from minilm.training.timeline import gates as timeline_gates

    weights = {"embedding": np.zeros((3, 2)), "kernel": np.zeros((2, 8)), "recurrent": np.zeros((2, 8))}
    weights["bias"] = np.repeat([-4.0, 5.0, 0.0, 0.0], 2)  # sigmoid: 0.018, 0.9933, 0.5; tanh: 0
    ids = np.zeros((2, 3), int)
    assert measure_saturation(ids, weights) == {"i": 0, "f": 1, "g": 0, "o": 0}
    monkeypatch.setattr(gates, "STUCK", 0.02)
    assert measure_saturation(ids, weights) == {"i": 1, "f": 1, "g": 0, "o": 0}
    assert (timeline_gates.CLOSED, timeline_gates.OPEN) == (gates.CLOSED, gates.OPEN) == (0.1, 0.9)
