"""A Decision holds every number that it was made from, and they add up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.bench.workloads import FakeCodec
from minilm.errors import MinilmError
from minilm.records import Removal
from minilm.sampling import Bias, Context, Greedy, MinP, RepetitionPenalty, Temperature, TopK, TopP, decide
from minilm.sampling.stages.length import ForcedEos

CONTEXT = Context(np.array([0, 2, 2]), 1)
STAGES = (
    RepetitionPenalty(1.3),
    Bias({4: 1.5}).bind(FakeCodec(40)),
    Temperature(0.8),
    TopK(12),
    TopP(0.9),
    MinP(0.02),
)


def texts(token_id):
    return f"t{token_id}", b"x"


def random_logits(seed, size=40):
    return (np.random.default_rng(seed).standard_normal(size) * 3).astype(np.float32)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_ledger_adds_up_to_the_change_of_the_chosen_token(seed, u):
    decision = decide(random_logits(seed), CONTEXT, STAGES, u, texts)
    change = sum(effect.chosen for effect in decision.stages)
    assert change == pytest.approx(np.log(decision.chosen.p_final) - decision.chosen.logp_model, abs=1e-6)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_draw_falls_into_the_chosen_interval_whose_width_is_its_probability(seed, u):
    decision = decide(random_logits(seed), CONTEXT, STAGES, u, texts)
    low, high = decision.interval
    assert low <= u < high
    assert high - low == pytest.approx(decision.chosen.p_final, abs=1e-9)
    assert decision.margin == min(u - low, high - u)
    assert decision.chosen.removed_by is None


def test_the_draw_runs_over_ids_in_ascending_order():
    logits = np.log([0.2, 0.5, 0.3]).astype(np.float32)
    chosen = [
        decide(logits, CONTEXT, (), u, texts).chosen.id for u in (0.0, 0.19, 0.21, 0.69, 0.71, 0.999999)
    ]
    assert chosen == [0, 0, 1, 1, 2, 2]


def test_the_mass_that_a_truncation_keeps_is_what_the_survivors_held():
    logits = np.log([0.5, 0.3, 0.2]).astype(np.float32)
    (effect,) = decide(logits, CONTEXT, (TopK(2),), 0.1, texts).stages
    assert effect.mass_kept == pytest.approx(0.8, abs=1e-6)
    assert effect.survivors == 2
    assert effect.chosen == pytest.approx(-np.log(0.8), abs=1e-6)
    assert effect.entropy == pytest.approx(-(0.625 * np.log(0.625) + 0.375 * np.log(0.375)), abs=1e-6)


def test_a_stage_that_forces_another_token_than_the_lone_survivor_keeps_no_mass():
    last = Context(np.array([0]), 1, limit=1)
    kept = decide(np.float32([1, 2, 3]), last, (TopK(1), ForcedEos(0)), 0.1, texts).stages
    assert [effect.mass_kept for effect in kept] == [pytest.approx(0.6652, abs=1e-4), 0.0]
    assert [effect.survivors for effect in kept] == [1, 1]


def test_a_logit_too_large_for_float32_is_named_like_an_infinite_one():
    with pytest.raises(MinilmError, match="1 of 3 logits are not finite, the first is inf at id 1"):
        decide(np.array([0.0, 1e39, 1.0]), CONTEXT, (), 0.1, texts)


def test_the_reason_counts_the_tokens_that_the_model_ranks_higher():
    said = [decide(np.float32([3, 2, 2, 1]), CONTEXT, (), u, texts).reason for u in (0.1, 0.7, 0.8, 0.99)]
    assert said[0] == "drawn, and the most likely one"
    assert [reason.removeprefix("drawn, though the model ranks ") for reason in said[1:]] == [
        "1 token higher",
        "2 tokens higher",
        "3 tokens higher",
    ]


@pytest.mark.parametrize("gap", [0, 100])
@pytest.mark.parametrize("digits", [0, 2, 7])
def test_top_k_and_the_candidates_of_a_large_vocabulary_are_those_of_a_sort(digits, gap):
    """Ties at the cut are kept, in the order of their ids; gap: of the first fifty to all others."""
    logits = np.random.default_rng(digits).normal(size=20_000).round(digits).astype(np.float32)
    logits[:50] += gap
    decision = decide(logits, CONTEXT, (TopK(50),), 0.3, texts, top=60)
    order = np.argsort(-logits, kind="stable")
    least = logits[order[49]]
    assert decision.survivors == np.count_nonzero(logits >= least)
    assert decision.stages[0].cut == least - logits[order[50]]
    assert [c.id for c in decision.candidates[:60]] == order[:60].tolist()


def test_a_removed_candidate_names_its_stage_and_the_number_that_failed():
    logits = np.log([0.5, 0.3, 0.15, 0.05]).astype(np.float32)
    decision = decide(logits, CONTEXT, (TopK(3), TopP(0.75), MinP(0.7)), 0.1, texts)
    assert [c.removed_by for c in decision.candidates] == [
        None,
        Removal("MinP(0.7)", "0.375 < 0.7 × 0.625"),
        Removal("TopP(0.75)", "0.8421 reached before it"),
        Removal("TopK(3)", "rank 4 > 3"),
    ]


def test_probabilities_are_the_models_before_any_stage_and_the_draws_after():
    logits = np.log([0.5, 0.3, 0.2]).astype(np.float32)
    decision = decide(logits, CONTEXT, (Temperature(0.5), TopK(2)), 0.1, texts)
    assert [c.p_model for c in decision.candidates] == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)
    squares = np.array([0.25, 0.09, 0.04])
    assert [c.p_tempered for c in decision.candidates] == pytest.approx(squares / squares.sum(), abs=1e-6)
    assert [c.p_final for c in decision.candidates] == pytest.approx([0.25 / 0.34, 0.09 / 0.34, 0], abs=1e-6)


def test_greedy_draws_nothing_and_says_so():
    decision = decide(random_logits(3), CONTEXT, (Greedy(),), None, texts)
    assert decision.chosen.rank == 1
    assert (decision.u, decision.margin) == (None, None)
    assert decision.reason == "the only survivor"


def test_a_forced_token_may_be_one_that_the_stages_removed():
    logits = np.log([0.5, 0.3, 0.2]).astype(np.float32)
    decision = decide(logits, CONTEXT, (TopK(1),), 0.4, texts, forced=2)
    assert decision.chosen.id == 2
    assert decision.interval is None
    assert decision.reason == "forced by hand; TopK(1) had removed it"


def test_the_chosen_and_the_watched_are_among_the_candidates_with_their_full_rank():
    logits = np.arange(30, dtype=np.float32)[::-1] / 10
    decision = decide(logits, CONTEXT, (TopK(25),), 0.999, texts, top=3, watch=[28])
    ranks = [c.rank for c in decision.candidates]
    assert ranks == [1, 2, 3, decision.chosen.rank, 29]
    assert decision.stages[0].watched == {28: None}


def test_adaptive_k_is_clamped_to_the_survivors():
    decision = decide(random_logits(5), CONTEXT, (TopK(3),), 0.5, texts)
    assert decision.final.k_used == 3
    assert decision.final.mass_used == pytest.approx(1)
    assert decision.raw.k_used >= 8


@pytest.mark.parametrize("logits", [[1.0, -np.inf, 0.0], [1.0, 0.0, -np.inf], [-np.inf, 1.0, 0.0]])
def test_a_logit_of_minus_infinity_has_no_chance(logits):
    decision = decide(np.array(logits, np.float32), CONTEXT, (), 0.5, texts)
    assert decision.candidates[-1].p_model == 0
    assert decision.candidates[-1].removed_by == Removal("model", "its logit is -inf")


def test_tempered_is_the_models_where_there_is_no_temperature():
    decision = decide(random_logits(7), CONTEXT, (TopK(5),), 0.5, texts)
    assert all(c.p_tempered == c.p_model for c in decision.candidates)
