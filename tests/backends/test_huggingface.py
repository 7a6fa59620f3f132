"""Hugging Face models under minilm's protocols; the oracle is transformers itself on the whole text."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from minilm.backends.huggingface.cache import (  # noqa: E402
    CopiedState,
    RereadState,
    SharedState,
    find_cache_argument,
)
from minilm.backends.huggingface.open import create_gpt2, open_hugging_face, wrap_model  # noqa: E402 - after the skips
from minilm.errors import MinilmError  # noqa: E402
from minilm.protocols import Attributable, Inspectable, Trainable  # noqa: E402
from minilm.records import Gradients, OptimizerConfig  # noqa: E402

V, CONTEXT = 97, 64
SIZES = {
    "vocab_size": V, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": CONTEXT,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
STATE = {"vocab_size": V, "hidden_size": 32, "num_hidden_layers": 2, "eos_token_id": 2}
CONFIGS: dict[str, Any] = {
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=V, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, bos_token_id=1, eos_token_id=2
    ),
    "llama": lambda: transformers.LlamaConfig(**SIZES, num_key_value_heads=2),
    "neox": lambda: transformers.GPTNeoXConfig(**SIZES),
    "mistral": lambda: transformers.MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=6),
    "gemma2": lambda: transformers.Gemma2Config(
        **SIZES, num_key_value_heads=2, sliding_window=6, head_dim=8, final_logit_softcapping=0.5
    ),
    "phi": lambda: transformers.PhiConfig(**SIZES),
    "mamba": lambda: transformers.MambaConfig(**STATE, state_size=8),
    "recurrent gemma": lambda: transformers.RecurrentGemmaConfig(
        **SIZES,
        num_key_value_heads=1,
        attention_window_size=6,
        lru_width=32,
        block_types=("recurrent", "attention"),
    ),
    "rwkv": lambda: transformers.RwkvConfig(**STATE, attention_hidden_size=32, context_length=CONTEXT),
}
KINDS = {"mamba": CopiedState, "recurrent gemma": RereadState, "rwkv": RereadState}
IDS = np.random.default_rng(0).integers(3, V, 20).tolist()


def net_of(architecture: str, **changes: Any) -> Any:
    """A random transformers model of an architecture, large enough weights that a fault shows."""
    config = CONFIGS[architecture]()
    for name, value in changes.items():
        setattr(config, name, value)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = transformers.AutoModelForCausalLM.from_config(config).eval()
        for parameter in net.parameters():
            if parameter.dim() == 2:
                parameter.data.mul_(3.0)
    return net


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    logging.getLogger("transformers").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("transformers").setLevel(logging.WARNING)


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> Any:
    return wrap_model(net_of(request.param), request.param)


@pytest.fixture(scope="module")
def gpt2() -> Any:
    return wrap_model(net_of("gpt2"), "gpt2")


def whole(net: Any, ids: list[int]) -> np.ndarray:
    """(T, V): transformers' logits for a whole text, read at once and without a cache."""
    with torch.no_grad():
        return net(input_ids=torch.tensor([ids]), use_cache=False).logits[0].numpy()


def assert_close(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))


# Reading


def test_logits_equal_those_of_transformers_on_the_whole_text(model):
    reading = model.read(IDS, rows="all")
    assert_close(reading.logits, whole(model.net, IDS))
    assert_close(model.read(IDS).logits, whole(model.net, IDS)[-1:])
    assert reading.logits.dtype == np.float32
    assert not reading.logits.flags.writeable
    table = model.net.get_input_embeddings().weight.detach().numpy()
    np.testing.assert_array_equal(reading.embeddings, table[IDS])


@pytest.mark.parametrize("parts", [[1] * 20, [3, 8, 9], [19, 1], [1, 12, 1, 6]])
def test_reading_in_parts_gives_the_numbers_of_reading_at_once(model, parts):
    state, rows, place = None, [], 0
    for part in parts:
        reading = model.read(IDS[place : place + part], state, rows="all")
        state, place = reading.state, place + part
        rows.append(reading.logits)
    assert_close(np.concatenate(rows), whole(model.net, IDS))


def test_every_kind_of_cache_is_met_by_these_models(model):
    assert type(model.read(IDS).state) is KINDS.get(model.name, SharedState)


def test_a_model_without_a_usable_cache_says_that_it_reads_again(model):
    said = model.notice
    assert (said is not None) == (KINDS.get(model.name) is RereadState)
    assert said is None or (type(model.net).__name__ in said and "reads the whole text again" in said)


@pytest.mark.parametrize("name", ["past_key_values", "cache", "cache_params"])
def test_the_cache_is_found_under_each_name_that_transformers_gives_it(name):
    net = types.SimpleNamespace(forward=forward_with(name))
    assert find_cache_argument(net) == name


def forward_with(name: str) -> Any:
    """A callable whose signature takes input_ids and one argument of the given name."""

    def forward(**_: Any) -> None:
        raise NotImplementedError

    kind = inspect.Parameter.KEYWORD_ONLY
    forward.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in ("input_ids", name)])  # type: ignore[attr-defined]
    return forward


def test_an_old_state_read_again_gives_the_same_numbers_and_harms_no_other(model):
    states, rows = [], []
    state = None
    for token in IDS:
        reading = model.read([token], state)
        states.append(state := reading.state)
        rows.append(reading.logits)
    for place in (12, 3, 12, 18):  # back, further back, forward again: each on a branch of its own
        again = model.read([IDS[place + 1]], states[place])
        np.testing.assert_array_equal(again.logits, rows[place + 1])
        other = model.read([5, 6, 7], states[place], rows="all")
        assert_close(other.logits, whole(model.net, [*IDS[: place + 1], 5, 6, 7])[-3:])
    on = model.read([9], states[-1])
    assert_close(on.logits, whole(model.net, [*IDS, 9])[-1:])


def test_branches_that_take_turns_keep_to_their_own_text(model):
    left = right = model.read(IDS[:8]).state
    for a, b in zip([11, 12, 13, 14, 15, 16], [21, 22, 23, 24, 25, 26], strict=True):
        one, two = model.read([a], left), model.read([b], right)
        left, right = one.state, two.state
    assert_close(one.logits, whole(model.net, [*IDS[:8], 11, 12, 13, 14, 15, 16])[-1:])
    assert_close(two.logits, whole(model.net, [*IDS[:8], 21, 22, 23, 24, 25, 26])[-1:])


def test_a_reading_that_fails_half_way_leaves_its_state_usable(gpt2, monkeypatch):
    state = gpt2.read(IDS[:8]).state
    last = gpt2.net.transformer.h[1]
    with monkeypatch.context() as patched:
        patched.setattr(last, "forward", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            gpt2.read([90], state)
    assert_close(gpt2.read(IDS[8:], state, rows="all").logits, whole(gpt2.net, IDS)[8:])


def test_threads_reading_on_from_one_state_do_not_disturb_each_other(gpt2):
    start = gpt2.read(IDS[:4]).state

    def run(token: int) -> np.ndarray:
        state = start
        for _ in range(20):
            reading = gpt2.read([token], state)
            state = reading.state
        return reading.logits

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(run, range(10, 30)))
    for token, answer in zip(range(10, 30), answers, strict=True):
        assert_close(answer, whole(gpt2.net, IDS[:4] + [token] * 20)[-1:])


def test_a_thousand_kept_states_share_one_cache():
    model = create_gpt2(V, width=32, context=1024)
    states, ids = [model.read([1]).state], [1, *(number % V for number in range(1000))]
    for token in ids[1:]:
        reading = model.read([token], states[-1])
        states.append(reading.state)
    assert_close(reading.logits, whole(model.net, ids)[-1:])
    assert len({id(state.branch) for state in states}) == 1
    sizes = {}
    for buffer in states[0].branch._buffers:
        for tensor in buffer.rows(0, 1001):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    rows = 2 * 2 * 1001 * 32 * 4  # keys and values, layers, positions, width, bytes of a float
    assert sum(sizes.values()) <= 1.6 * rows


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "mistral"])
def test_greedy_continuation_equals_generate(architecture):
    net = net_of(architecture)
    expected = net.generate(
        torch.tensor([IDS]), attention_mask=torch.ones(1, 20), max_new_tokens=30, min_new_tokens=30,
        do_sample=False, pad_token_id=0, eos_token_id=None,
    )[0, 20:].tolist()  # fmt: skip
    model, chosen = wrap_model(net), []
    reading = model.read(IDS)
    for _ in range(30):
        chosen.append(int(reading.logits[0].argmax()))
        reading = model.read(chosen[-1:], reading.state)
    assert chosen == expected


# What goes wrong


@pytest.mark.parametrize(
    ("ids", "options", "named"),
    [
        (list(range(3, 3 + CONTEXT + 1)), {}, f"at most {CONTEXT} tokens .its context., got {CONTEXT + 1}"),
        ([], {}, "at least one id"),
        ([3, V], {}, f"Id {V} at position 1"),
        ([-1], {}, "Id -1"),
        ([1.5], {}, "whole numbers"),
        ([[1, 2]], {}, "shape"),
        ([3], {"rows": "first"}, "rows"),
        ([3], {"inner": ["cell.0"]}, "cell.0"),
        ([3], {"inner": ["hidden.9"]}, "hidden.9"),
    ],
)
def test_what_cannot_be_read_is_named_before_the_forward_pass(gpt2, monkeypatch, ids, options, named):
    monkeypatch.setattr(gpt2.net, "forward", lambda *a, **k: pytest.fail("the net was called"))
    with pytest.raises(MinilmError, match=named):
        gpt2.read(ids, **options)


def test_the_context_counts_what_was_read_before(gpt2):
    full = gpt2.read((IDS * 4)[:CONTEXT]).state
    with pytest.raises(MinilmError, match=f"got {CONTEXT + 1}"):
        gpt2.read([3], full)


# Inside


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "mistral", "neox", "mamba"])
def test_hidden_states_are_those_of_transformers(architecture):
    model = wrap_model(net_of(architecture))
    with torch.no_grad():
        expected = model.net(torch.tensor([IDS]), output_hidden_states=True).hidden_states
    first = model.read(IDS[:12], inner=["hidden"])
    second = model.read(IDS[12:], first.state, inner=["hidden"])
    assert sorted(first.inner) == ["hidden.0", "hidden.1", "hidden.2"]
    for layer in range(3):
        seen = np.concatenate([r.inner[f"hidden.{layer}"] for r in (first, second)])
        assert_close(seen, expected[layer][0].numpy())


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "mistral"])
def test_attention_is_that_of_an_eager_model_and_the_logits_stay_the_models_own(architecture):
    model = wrap_model(net_of(architecture))
    eager = copy.deepcopy(model.net)
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        expected = eager(torch.tensor([IDS]), output_attentions=True)
    start = model.read(IDS[:4]).state
    plain = model.read(IDS[4:], start, rows="all")
    seen = model.read(IDS[4:], start, rows="all", inner=["attention.0", "attention.1"])
    np.testing.assert_array_equal(seen.logits, plain.logits)
    width = seen.inner["attention.1"].shape[-1]
    for layer in range(2):
        weights = seen.inner[f"attention.{layer}"]  # (heads, T, S)
        assert_close(weights, expected.attentions[layer][0, :, 4:, -width:].numpy())
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    off = np.abs(expected.logits[0, 4:].numpy() - plain.logits).max()
    np.testing.assert_allclose(seen.inner["attention.logit_difference"], off, atol=1e-6)
    assert model.net.config._attn_implementation == "sdpa"


def test_looking_inside_leaves_no_trace_in_the_state(gpt2):
    start = gpt2.read(IDS[:6]).state
    seen = gpt2.read(IDS[6:9], start, inner=["attention", "hidden", "logit_lens", "position"])
    assert_close(gpt2.read(IDS[9:], seen.state, rows="all").logits, whole(gpt2.net, IDS)[9:])


def test_the_logit_lens_applies_the_final_norm_and_ends_in_the_logits(gpt2):
    reading = gpt2.read(IDS, rows="all", inner=["logit_lens", "hidden.1"])
    np.testing.assert_array_equal(reading.inner["logit_lens.2"], reading.logits)
    net = gpt2.net
    with torch.no_grad():
        by_hand = net.lm_head(net.transformer.ln_f(torch.tensor(reading.inner["hidden.1"])))
    assert_close(reading.inner["logit_lens.1"], by_hand.numpy())
    assert reading.inner["logit_lens.logit_difference"] == 0


def test_a_lens_says_how_far_it_is_from_logits_that_are_capped_after_the_head():
    reading = wrap_model(net_of("gemma2")).read(IDS, inner=["logit_lens.2"])
    last = np.abs(reading.inner["logit_lens.2"][-1] - reading.logits[0]).max()
    assert reading.inner["logit_lens.logit_difference"] >= last > 0.01


def test_position_embeddings_are_the_rows_of_the_positions_read(gpt2):
    reading = gpt2.read(IDS[5:], gpt2.read(IDS[:5]).state, inner=["position"])
    rows = gpt2.net.transformer.wpe.weight.detach().numpy()[5:20]
    np.testing.assert_array_equal(reading.inner["position"], rows)
    np.testing.assert_allclose(
        gpt2.read(IDS[5:], gpt2.read(IDS[:5]).state, inner=["hidden.0"]).inner["hidden.0"],
        reading.embeddings + rows, atol=1e-6,
    )  # fmt: skip


def test_what_a_model_has_not_is_named():
    llama, mamba = wrap_model(net_of("llama")), wrap_model(net_of("mamba"))
    with pytest.raises(MinilmError, match="position"):
        llama.read(IDS, inner=["position"])
    with pytest.raises(MinilmError, match="no attention"):
        mamba.read(IDS, inner=["attention.0"])


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "phi"])
def test_hidden_state_times_head_is_the_logits_with_tied_and_untied_weights(architecture):
    model = wrap_model(net_of(architecture))
    kernel, bias = model.head()
    assert kernel.shape == (32, V)
    assert (bias is not None) == (architecture == "phi")
    assert model.embedding_table().shape == (V, 32)
    assert np.array_equal(kernel.T, model.embedding_table()) == (architecture == "gpt2")
    reading = model.read(IDS, inner=["hidden.2"])
    assert_close(reading.inner["hidden.2"][-1:] @ kernel + (0 if bias is None else bias), reading.logits)


# Attribution


@pytest.mark.parametrize("of", ["logp", "logit"])
@pytest.mark.parametrize("against", [None, 8])
def test_the_embedding_gradient_equals_finite_differences(of, against):
    model = wrap_model(net_of("gpt2").double())
    value, gradient = model.embedding_gradient(IDS[:6], 5, against, scale=0.7, of=of)
    base = torch.tensor(model.embedding_table()[IDS[:6]] * 0.7)

    def at(embedded: Any) -> float:
        with torch.no_grad():
            scores = model.net(inputs_embeds=embedded[None]).logits[0, -1]
        scores = scores.log_softmax(-1) if of == "logp" else scores
        return float(scores[5] - (0 if against is None else scores[against]))

    assert value == pytest.approx(at(base), abs=1e-12)
    assert gradient.shape == (6, 32)
    for row, column in [(0, 0), (2, 31), (5, 7)]:
        step = torch.zeros_like(base)
        step[row, column] = 1e-5
        slope = (at(base + step) - at(base - step)) / 2e-5
        assert gradient[row, column] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_attribution_and_reading_leave_no_gradients_behind(gpt2):
    gpt2.embedding_gradient(IDS, 5)
    assert all(parameter.grad is None for parameter in gpt2.net.parameters())
    with pytest.raises(MinilmError, match="logp"):
        gpt2.embedding_gradient(IDS, 5, of="loss")
    with pytest.raises(MinilmError, match=f"Id {V}"):
        gpt2.embedding_gradient(IDS, V)


# Training


def batch(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.random.default_rng(seed).integers(0, V, (4, 13))
    return rows[:, :-1], rows[:, 1:], np.ones((4, 12), np.float32)


def test_it_satisfies_every_protocol(gpt2):
    assert all(isinstance(gpt2, protocol) for protocol in (Inspectable, Trainable, Attributable))
    assert (gpt2.vocab_size, gpt2.embedding_size, gpt2.context_size) == (V, 32, CONTEXT)
    assert gpt2.config.vocab_size == V
    assert gpt2.config.dropout == 0


@pytest.mark.parametrize("clip", [None, 0.5])
def test_training_equals_the_loss_of_transformers_and_torch_adam(clip):
    model = create_gpt2(V, width=32, context=CONTEXT, seed=3, dtype="float64")
    net = copy.deepcopy(model.net)
    adam = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(5):
        inputs, targets, mask = batch(step)
        rows = torch.tensor(np.concatenate([inputs, targets[:, -1:]], 1))
        logp = net(rows[:, :-1]).logits.log_softmax(-1)
        loss = -logp.gather(-1, rows[:, 1:, None]).mean()
        assert loss.item() == pytest.approx(net(rows, labels=rows).loss.item(), abs=1e-6)
        adam.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), clip or torch.inf)
        adam.step()
        gradients = model.gradients(inputs, targets, mask)
        assert gradients.loss == pytest.approx(loss.item(), abs=1e-12)
        assert gradients.global_norm == pytest.approx(norm.item(), rel=1e-9)
        factor = model.update(gradients, 3e-3, clip)
        assert factor == pytest.approx(min(1, (clip or torch.inf) / (norm.item() + 1e-6)), rel=1e-9)
    for name, expected in net.named_parameters():
        np.testing.assert_allclose(model.weights()[name], expected.detach().numpy(), atol=1e-10)


def test_the_optimizer_config_is_obeyed():
    rates = OptimizerConfig(beta1=0.5, beta2=0.6, epsilon=1e-2)
    model = wrap_model(net_of("llama"))
    model = type(model)(model.net, "llama", optimizer=rates)
    before = dict(model.snapshot())
    gradients = model.gradients(*batch())
    model.update(gradients, 0.1)
    name = "model.norm.weight"
    gradient = gradients.arrays[name]  # the first step of Adam: m = g, v = g², so g / (|g| + ε)
    moved = before[name] - 0.1 * gradient / (np.abs(gradient) + 1e-2)
    np.testing.assert_allclose(model.weights()[name], moved, atol=1e-6)
    np.testing.assert_allclose(model.snapshot()[f"adam.v.{name}"], 0.4 * gradient**2, rtol=1e-4)


def test_what_is_masked_counts_neither_in_the_loss_nor_in_the_gradient():
    model = create_gpt2(V, width=32, context=CONTEXT)
    inputs, targets, mask = batch()
    mask = mask.copy()
    mask[1, 5:] = 0
    changed, wanted = inputs.copy(), targets.copy()
    changed[1, 6:], wanted[1, 5:] = 0, 0
    losses = model.losses(inputs, targets, mask)
    assert (losses[1, 5:] == 0).all()
    one, two = model.gradients(inputs, targets, mask), model.gradients(changed, wanted, mask)
    assert one.loss == pytest.approx(losses.sum() / mask.sum(), rel=1e-6)
    assert two.loss == one.loss
    half = model.gradients(inputs, targets, mask, denominator=2 * float(mask.sum()))
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(two.arrays[name], array)
        np.testing.assert_allclose(half.arrays[name], array / 2, atol=1e-7)


@pytest.mark.parametrize("fault", ["mask", "context", "dropout", "id"])
def test_a_batch_that_cannot_be_learned_from_is_refused(fault):
    model = create_gpt2(V, width=32, context=8)
    inputs, targets, mask = (part[:, :8].copy() for part in batch())
    if fault == "context":
        inputs, targets, mask = batch()
    if fault == "mask":
        mask[:] = 0
    if fault == "id":
        targets[0, 0] = V
    with pytest.raises(MinilmError):
        model.gradients(inputs, targets, mask, dropout=[mask] if fault == "dropout" else None)


def test_a_restored_snapshot_goes_on_to_the_bit():
    model = create_gpt2(V, width=32, context=CONTEXT)

    def train(steps: range) -> list[float]:
        return [_step(model, number) for number in steps]

    train(range(3))
    kept = model.snapshot()
    expected = train(range(3, 8))
    model.restore(kept)
    assert train(range(3, 8)) == expected
    assert int(kept["adam.step"]) == 3
    other = create_gpt2(V, width=32, context=CONTEXT, seed=9)
    other.restore(kept)
    assert [_step(other, number) for number in range(3, 8)] == expected


def _step(model: Any, number: int) -> float:
    gradients = model.gradients(*batch(number))
    model.update(gradients, 1e-2)
    return gradients.loss


def test_weights_alone_start_the_moments_at_nothing():
    model, fresh = (create_gpt2(V, width=32, context=CONTEXT) for _ in range(2))
    start = {name: array.copy() for name, array in model.weights().items()}
    for number in range(3):
        _step(model, number)
    model.restore(start)
    assert [_step(model, n) for n in range(3)] == [_step(fresh, n) for n in range(3)]
    with pytest.raises(MinilmError, match=r"wte\.weight"):
        model.restore({})


def test_an_update_from_arrays_equals_one_from_tensors():
    one, two = (create_gpt2(V, width=32, context=CONTEXT) for _ in range(2))
    gradients = one.gradients(*batch())
    arrays = {name: array.copy() for name, array in gradients.arrays.items()}
    one.update(gradients, 1e-2)
    two.update(Gradients(gradients.loss, gradients.losses, arrays), 1e-2)
    for name, array in one.weights().items():
        np.testing.assert_array_equal(two.weights()[name], array)


def test_reading_follows_training():
    model = create_gpt2(V, width=32, context=CONTEXT)
    before = model.read(IDS, inner=["attention.0"])
    for number in range(3):
        _step(model, number)
    after = model.read(IDS, inner=["attention.0"])
    assert np.abs(after.logits - before.logits).max() > 1e-2
    assert after.inner["attention.logit_difference"] < 1e-5
    assert_close(after.logits, whole(model.net, IDS)[-1:])


def test_first_weights_are_a_function_of_the_seed_and_leave_torchs_generator_alone():
    state = torch.random.get_rng_state()
    one, same, other = (create_gpt2(V, layers=3, seed=seed).weights() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["transformer.wte.weight"], other["transformer.wte.weight"])
    assert "lm_head.weight" not in one  # tied
    assert np.std(one["transformer.h.0.mlp.c_fc.weight"]) == pytest.approx(0.02, rel=0.03)
    assert np.std(one["transformer.h.0.mlp.c_proj.weight"]) == pytest.approx(0.02 / 6**0.5, rel=0.03)
    assert (one["transformer.h.1.ln_1.weight"] == 1).all()
    assert (one["transformer.h.1.attn.c_attn.bias"] == 0).all()


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small GPT-2 with a tokenizer, saved in a folder whose name has a space and an umlaut."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    place = tmp_path / "größe 1"
    create_gpt2(V, width=32, context=CONTEXT, seed=5, bos=1, eos=2).save(place)
    words = Tokenizer(models.WordLevel({f"w{n}": n for n in range(V)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0").save_pretrained(place)
    return place


def test_a_saved_model_opens_again_in_silence_and_in_transformers(folder, capfd, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *a: pytest.fail("a socket was opened"))
    model, tokenizer = open_hugging_face(folder)
    assert capfd.readouterr() == ("", "")
    assert tokenizer.encode("w5 w7") == [5, 7]
    saved = create_gpt2(V, width=32, context=CONTEXT, seed=5)
    assert_close(model.read(IDS).logits, saved.read(IDS).logits)
    net = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    for name, array in saved.weights().items():
        np.testing.assert_array_equal(model.weights()[name], array)
        np.testing.assert_array_equal(net.get_parameter(name).detach().numpy(), array)
    assert model.name == "größe 1"
    assert not [file for file in folder.parent.iterdir() if file != folder]


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_model_opens_in_another_dtype(folder, dtype):
    model, _ = open_hugging_face(folder, dtype=dtype)
    exact, _ = open_hugging_face(folder)
    loose = 1e-5 if dtype == "float64" else 0.1
    np.testing.assert_allclose(model.read(IDS).logits, exact.read(IDS).logits, atol=loose)
    assert model.read(IDS).logits.dtype == ("float64" if dtype == "float64" else "float32")


def test_saving_over_a_model_keeps_the_tokenizer_and_what_stood_there_if_it_fails(folder, monkeypatch):
    model, _ = open_hugging_face(folder)
    before = (folder / "model.safetensors").read_bytes()
    model.restore({n: a * 2 for n, a in model.weights().items()})

    def half(place: Path) -> None:
        (Path(place) / "model.safetensors").write_bytes(b"half")
        raise OSError("full")

    with monkeypatch.context() as patched:
        patched.setattr(model.net, "save_pretrained", half)
        with pytest.raises(OSError, match="full"):
            model.save(folder)
    assert (folder / "model.safetensors").read_bytes() == before
    model.save(folder)
    again, tokenizer = open_hugging_face(folder)
    assert_close(again.read(IDS).logits, model.read(IDS).logits)
    assert tokenizer.encode("w5") == [5]
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def _pickle_only(folder: Path) -> None:
    torch.save(
        transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict(), folder / "pytorch_model.bin"
    )
    (folder / "model.safetensors").unlink()


def _pickle_beside(folder: Path) -> None:
    _pickle_only(folder)
    (folder / "other.safetensors").write_bytes(b"")


def _index(folder: Path, shard: str) -> None:
    names = dict.fromkeys(load_names(folder), shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def load_names(folder: Path) -> list[str]:
    from safetensors.torch import load_file

    return list(load_file(folder / "model.safetensors"))


def _pickle_through_index(folder: Path) -> None:
    _index(folder, "weights.bin")
    _pickle_beside(folder)
    (folder / "pytorch_model.bin").rename(folder / "weights.bin")


def _outside_through_index(folder: Path) -> None:
    _index(folder, "../elsewhere.safetensors")
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    (folder / "x.safetensors").write_bytes(b"")


def _cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _emptied(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _weights(folder: Path, change: Any) -> None:
    from safetensors.torch import load_file, save_file

    arrays = load_file(folder / "model.safetensors")
    save_file(change(arrays), folder / "model.safetensors", metadata={"format": "pt"})


def _missing(folder: Path) -> None:
    _weights(folder, lambda arrays: {n: a for n, a in arrays.items() if "h.1.mlp.c_fc.weight" not in n})


def _shape(folder: Path) -> None:
    _weights(folder, lambda arrays: arrays | {"transformer.ln_f.weight": torch.ones(31)})


def _nan(folder: Path) -> None:
    _weights(folder, lambda arrays: arrays | {"transformer.ln_f.weight": torch.full((32,), torch.nan)})


def _config(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def _own_code(folder: Path) -> None:
    (folder / "modeling_mine.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Mine: pass\n")
    _config(folder, model_type="mine", auto_map={
        "AutoConfig": "modeling_mine.Mine", "AutoModelForCausalLM": "modeling_mine.Mine"
    })  # fmt: skip


def _unknown_type(folder: Path) -> None:
    _config(folder, model_type="no-such-model")


def _not_causal(folder: Path) -> None:
    _config(folder, model_type="vit", architectures=["ViTModel"])


def _bad_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def _odd_json(folder: Path) -> None:
    (folder / "config.json").write_text("[]")


def _bad_sizes(folder: Path) -> None:
    _config(folder, n_head="four")


def _bad_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    "harm",
    [
        _no_config, _pickle_only, _pickle_beside, _pickle_through_index,
        _outside_through_index, _cut, _emptied, _missing, _shape, _nan, _own_code,
        _unknown_type, _not_causal, _bad_json, _odd_json, _bad_sizes, _bad_tokenizer,
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_folder_is_one_line_and_runs_no_code(folder, harm, capfd):
    harm(folder)
    capfd.readouterr()
    said = {
        _pickle_only: "pickled",
        _pickle_through_index: "names 'weights.bin'; only safetensors weights are opened",
        _outside_through_index: "which is not in the model's own folder",
    }
    with pytest.raises(MinilmError, match=said.get(harm)) as caught:
        open_hugging_face(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert not (folder / "ran").exists()
    assert capfd.readouterr() == ("", "")


def test_what_is_no_folder_and_what_is_not_in_the_hub_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "text.txt").write_text("text")
    for source in (tmp_path / "none", tmp_path / "text.txt", tmp_path, "surely/not-a-model-of-anyone"):
        with pytest.raises(MinilmError) as caught:
            open_hugging_face(source)
        assert "\n" not in str(caught.value)
    with pytest.raises(MinilmError, match="dtype"):
        open_hugging_face(folder, dtype="int8")
    with pytest.raises(MinilmError, match="cpu"):
        open_hugging_face(folder, device="abacus")
    with pytest.raises(MinilmError, match="is a file"):
        open_hugging_face(folder)[0].save(tmp_path / "text.txt")


# Real models


@pytest.mark.real_data
def test_stories260k_writes_what_generate_writes(real_data):
    model, tokenizer = open_hugging_face(real_data / "models" / "stories260K")
    ids = tokenizer("Once upon a time, there was a little girl").input_ids
    assert_close(model.read(ids, rows="all").logits, whole(model.net, ids))
    expected = model.net.generate(torch.tensor([ids]), max_new_tokens=60, do_sample=False, eos_token_id=None)
    reading, chosen = model.read(ids), list(ids)
    for _ in range(60):
        chosen.append(int(reading.logits[0].argmax()))
        reading = model.read(chosen[-1:], reading.state)
    assert chosen == expected[0].tolist()


@pytest.mark.slow
@pytest.mark.real_data
def test_gpt2_in_full_size_with_its_own_vocabulary(real_data):
    words = real_data / "data" / "gpt2"
    tokenizer = transformers.GPT2Tokenizer(vocab=str(words / "vocab.json"), merges=str(words / "merges.txt"))
    model = create_gpt2(len(tokenizer), layers=12, heads=12, width=768, context=1024)
    assert sum(array.size for array in model.weights().values()) == 124_439_808
    ids = tokenizer("To be, or not to be, that is the question:").input_ids
    states = [model.read(ids[:-1]).state]
    for token in [ids[-1], 11, 12, 13]:
        reading = model.read([token], states[-1])
        states.append(reading.state)
    assert_close(reading.logits, whole(model.net, [*ids, 11, 12, 13])[-1:])
    assert_close(model.read([11], states[1]).logits, whole(model.net, [*ids, 11])[-1:])
    with pytest.raises(MinilmError, match="at most 1024 tokens"):
        model.read([1] * 1025)
