"""What must hold for any logits and any stages: eight properties, two thousand examples each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.backends import create
from minilm.numerics import log_softmax, softmax
from minilm.records import ModelConfig
from minilm.sampling import Context, Greedy, MinP, RepetitionPenalty, Scores, Temperature, TopK, TopP, decide
from minilm.sampling.stages.truncation import Epsilon, Eta, TopH, Typical

pytestmark = pytest.mark.slow
SEEDS = st.integers(0, 2**32 - 1)
often = settings(max_examples=2000, derandomize=True, deadline=None)


def example(seed):
    """Logits (V,), a context and the generator that made them; sharp, flat, tied, with tokens ruled out."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=rng.integers(2, 40)) * rng.choice([0.1, 1.0, 5.0, 30.0])
    if rng.random() < 0.3:
        logits = logits.round()
    if rng.random() < 0.3:
        logits[rng.random(logits.size) < 0.5] = -np.inf
        logits[rng.integers(logits.size)] = 1.0
    ids = rng.integers(0, logits.size, rng.integers(1, 6))
    return logits.astype(np.float32), Context(ids, 1), rng


def truncations(rng):
    share = float(rng.uniform(0.01, 0.99))
    return [
        TopK(int(rng.integers(1, 12))),
        TopP(share),
        MinP(share),
        Typical(share),
        TopH(share),
        Epsilon(share / 2),
        Eta(share / 2),
    ]


def chain(rng):
    """Two to five stages in any order."""
    known = [*truncations(rng), Temperature(float(rng.uniform(0.2, 3))), RepetitionPenalty(1.3)]
    return [known[place] for place in rng.permutation(len(known))[: rng.integers(2, 6)]]


def decided(logits, context, stages, u, **more):
    return decide(logits, context, stages, u, lambda i: (str(i), b""), top=logits.size, **more)


def final_of(decision, size):
    row = np.zeros(size)
    for candidate in decision.candidates:
        row[candidate.id] = candidate.p_final
    return row


@often
@given(SEEDS)
def test_a_stage_never_brings_a_token_back_and_the_chosen_one_survives_them_all(seed):
    logits, context, rng = example(seed)
    stages, u = chain(rng), float(rng.random())
    scores = Scores.of(logits)
    for stage in stages:
        after = stage(scores, context)
        assert set(after.ids.tolist()) <= set(scores.ids.tolist())
        scores = after
    decision = decided(logits, context, stages, u)
    assert decision.chosen.id in scores.ids
    assert decision.survivors == scores.ids.size
    assert {c.id for c in decision.candidates if c.removed_by is None} == set(scores.ids.tolist())
    assert decision.interval[0] <= u < decision.interval[1]


@often
@given(SEEDS)
def test_the_mass_kept_is_that_of_the_survivors_and_its_logarithm_the_divergence(seed):
    logits, context, rng = example(seed)
    stages = truncations(rng)
    rng.shuffle(stages)
    scores = Scores.of(logits)
    effects = decided(logits, context, stages, 0.5).stages
    for stage, effect in zip(stages, effects, strict=True):
        p = softmax(scores.values)
        after = stage(scores, context)
        kept = np.isin(scores.ids, after.ids)
        assert effect.mass_kept == pytest.approx(p[kept].sum(), abs=1e-6)
        divergence = np.sum(softmax(after.values) * (log_softmax(after.values) - np.log(p[kept])))
        assert divergence == pytest.approx(-np.log(effect.mass_kept), abs=1e-6)
        scores = after


@often
@given(SEEDS)
def test_probabilities_sum_to_one_and_the_changes_of_the_chosen_token_to_the_whole(seed):
    logits, context, rng = example(seed)
    decision = decided(logits, context, chain(rng), float(rng.random()))
    for name in ("p_model", "p_tempered", "p_final"):
        assert sum(getattr(c, name) for c in decision.candidates) == pytest.approx(1, abs=1e-6)
    chosen = decision.chosen
    changes = sum(effect.chosen for effect in decision.stages)
    assert changes == pytest.approx(np.log(chosen.p_final) - chosen.logp_model, abs=1e-6)
    assert decision.interval[1] - decision.interval[0] == pytest.approx(chosen.p_final, abs=1e-9)


@often
@given(SEEDS)
def test_another_order_of_the_vocabulary_changes_nothing_but_the_ids(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=rng.integers(2, 40)).astype(np.float32) * 3
    stages, ids = chain(rng), rng.integers(0, logits.size, 4)
    order = rng.permutation(logits.size)  # the token that was order[i] is called i now
    one = decided(logits, Context(ids, 1), stages, 0.5)
    other = decided(logits[order], Context(order.argsort()[ids], 1), stages, 0.5)
    assert final_of(one, logits.size)[order] == pytest.approx(final_of(other, logits.size), abs=1e-6)
    assert other.raw.entropy == pytest.approx(one.raw.entropy, abs=1e-6)


@often
@given(SEEDS)
def test_every_truncation_but_typical_keeps_the_best_token(seed):
    logits, context, rng = example(seed)
    scores = Scores.of(logits)
    best = int(scores.ids[scores.values.argmax()])
    for stage in truncations(rng):
        after = stage(scores, context)
        assert after.ids.size
        assert isinstance(stage, Typical) or best in after.ids


@often
@given(SEEDS)
def test_a_looser_setting_keeps_no_less(seed):
    logits, context, rng = example(seed)
    scores = Scores.of(logits)
    low, high = np.sort(rng.uniform(0.01, 0.99, 2)).tolist()
    few, many = np.sort(rng.integers(1, 30, 2)).tolist()
    pairs = [
        (TopK(few), TopK(many)), (TopP(low), TopP(high)), (MinP(high), MinP(low)), (TopH(low), TopH(high)),
        (Typical(low), Typical(high)), (Epsilon(high), Epsilon(low)), (Eta(high), Eta(low)),
    ]  # fmt: skip
    for tight, loose in pairs:
        assert set(tight(scores, context).ids.tolist()) <= set(loose(scores, context).ids.tolist()), tight


@often
@given(SEEDS)
def test_a_temperature_towards_zero_is_greedy_and_one_without_end_is_even(seed):
    logits, context, rng = example(seed)
    scores = Scores.of(logits)
    best = scores.values == scores.values.max()
    cold = decided(logits, context, [Temperature(1e-6)], float(rng.random()))
    greedy = decided(logits, context, [Greedy()], None)
    assert cold.chosen.logit == greedy.chosen.logit
    assert greedy.chosen.id == scores.ids[best][0]
    assert cold.chosen.p_final == pytest.approx(1 / best.sum(), abs=0.01)
    hot = decided(logits, context, [Temperature(1e6)], 0.5)
    even = [c.p_final for c in hot.candidates if c.removed_by is None]
    assert even == pytest.approx([1 / scores.ids.size] * scores.ids.size, rel=1e-3)


@pytest.fixture(scope="module", params=["torch", "tensorflow"])
def pair(request):
    pytest.importorskip(request.param)
    config = ModelConfig(23, 5, 8, seed=6)
    return create(request.param, config), create("numpy", config)


def test_backends_of_equal_weights_choose_alike(pair):
    """Two thousand draws; a draw within 1e-5 of an end, or a tie at a cut, may fall otherwise."""
    rng, otherwise = np.random.default_rng(8), 0
    for _ in range(100):
        ids = rng.integers(0, 23, rng.integers(1, 5))
        rows = [model.read(ids).logits[-1] for model in pair]
        for _ in range(20):
            stages, u = chain(rng), float(rng.random())
            one, other = (decided(row, Context(ids, 1), stages, u) for row in rows)
            if one.chosen.id != other.chosen.id:
                assert min(one.margin, other.margin) < 1e-5 or one.survivors != other.survivors
                otherwise += 1
    assert otherwise <= 4
