"""The stages against transformers' own processors, and against numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.errors import MinilmError
from minilm.sampling import (
    Bias,
    Context,
    Greedy,
    MinP,
    RepetitionPenalty,
    Scores,
    Temperature,
    TopK,
    TopP,
)
from minilm.sampling.scores import places
from minilm.sampling.stages.words import SequenceBias

CONTEXT = Context(np.array([0, 1, 1, 3]), 2)


def kept(stage, probabilities, context=CONTEXT):
    return stage(Scores.of(np.log(probabilities)), context).ids.tolist()


class WordCodec:
    """Words to fixed ids: "cat" is 1 2, " cat" is 5, "dog" is 3."""

    vocab_size = 8

    def encode(self, text, special=False):
        return {"cat": [1, 2], " cat": [5], "dog": [3], " dog": [4, 3]}[text]


@pytest.mark.parametrize(
    ("p", "expected"), [(0, [0]), (0.49, [0]), (0.51, [0, 1]), (0.79, [0, 1]), (0.81, [0, 1, 2])]
)
def test_top_p_keeps_the_crossing_token(p, expected):
    assert kept(TopP(p), [0.5, 0.3, 0.2]) == expected


def test_top_k_keeps_ties_at_the_cut():
    assert TopK(2)(Scores.of(np.array([3.0, 2, 2, 1])), CONTEXT).ids.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("m", "expected"), [(0.1, [0, 1, 2]), (0.5, [0, 1])])
def test_min_p_cuts_below_a_share_of_the_best(m, expected):
    assert kept(MinP(m), [0.6, 0.3, 0.06 + 1e-6, 0.03]) == expected


def test_repetition_penalty_counts_each_id_once_and_knows_the_sign():
    scores = Scores.of(np.array([2.0, -2, 5, 0, -np.inf]))
    after = RepetitionPenalty(2.0)(scores, CONTEXT)
    assert after.ids.tolist() == [0, 1, 2, 3]
    assert after.values.tolist() == [1, -4, 5, 0]


def test_the_order_of_temperature_and_top_p_matters():
    def run(*stages):
        scores = Scores.of(np.array([3.0, 2, 1]))
        for stage in stages:
            scores = stage(scores, CONTEXT)
        return scores.ids.tolist()

    assert run(Temperature(0.5), TopP(0.8)) == [0]
    assert run(TopP(0.8), Temperature(0.5)) == [0, 1]


@pytest.mark.parametrize("logits", [[1.0, 2, 3], [1.0, -np.inf, 3]])
def test_an_id_that_is_not_there_has_no_place(logits):
    assert places(Scores.of(np.array(logits)), [-1, 0, 3]).tolist() == [0]


def test_greedy_leaves_the_lowest_id_among_equals():
    assert Greedy()(Scores.of(np.array([1.0, 4, 4])), CONTEXT).ids.tolist() == [1]


def test_bias_follows_a_word_piece_by_piece_with_and_without_its_space():
    stage = Bias({"cat": 2.0}).bind(WordCodec())
    scores = Scores.of(np.zeros(8))
    assert stage(scores, Context(np.array([7]))).values.tolist() == [0, 2, 0, 0, 0, 2, 0, 0]
    assert stage(scores, Context(np.array([7, 1]))).values.tolist() == [0, 2, 2, 0, 0, 2, 0, 0]


def test_a_ban_removes_only_the_piece_that_would_complete_the_word():
    stage = Bias({"cat": -np.inf}).bind(WordCodec())
    scores = Scores.of(np.zeros(8))
    assert stage(scores, Context(np.array([7]))).ids.tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert stage(scores, Context(np.array([1]))).ids.tolist() == [0, 1, 3, 4, 6, 7]


def test_biases_that_meet_on_one_token_add_up():
    for words in ({3: 1.0, "dog": 2.0}, {"dog": 2.0, 3: 1.0}):
        stage = Bias(words).bind(WordCodec())
        assert stage(Scores.of(np.zeros(8)), Context(np.array([4]))).values[3] == 5  # bare, whole, by id
    twice = SequenceBias({"dog": 2.0, (3,): 1.0}).bind(WordCodec())
    assert twice(Scores.of(np.zeros(8)), CONTEXT).values[3] == 3
    ban = Bias({"dog": -np.inf, 3: 5.0}).bind(WordCodec())
    assert 3 not in ban(Scores.of(np.zeros(8)), CONTEXT).ids


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Temperature(0), "for greedy use Greedy"),
        (lambda: Temperature(float("nan")), "above 0"),
        (lambda: TopK(0), "from 1"),
        (lambda: TopP(1.5), "between 0 and 1"),
        (lambda: MinP(-0.1), "between 0 and 1"),
        (lambda: RepetitionPenalty(0), "above 0"),
        (lambda: Bias({"a": float("inf")}), "finite"),
        (lambda: Scores.of(np.array([1.0, np.nan, np.inf])), "2 of 3 logits are not finite.* id 1"),
        (lambda: Scores.of(np.array([-np.inf, -np.inf])), "All 2 logits"),
        (lambda: Temperature(1e-45)(Scores.of(np.array([1.0, 2.0])), CONTEXT), "overflow"),
        (lambda: Temperature(1e-46)(Scores.of(np.zeros(2)), CONTEXT), "overflow"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(make, words):
    with pytest.raises(MinilmError, match=words):
        make()


def pairs():
    """Our stage, and transformers' processor for the same thing."""
    hf = pytest.importorskip("transformers")
    return [
        (lambda x: Temperature(x), lambda x: hf.TemperatureLogitsWarper(x), (0.05, 5)),
        (lambda x: TopK(max(1, int(x))), lambda x: hf.TopKLogitsWarper(max(1, int(x))), (1, 60)),
        (lambda x: TopP(x), lambda x: hf.TopPLogitsWarper(x), (0.0, 0.999)),
        (lambda x: MinP(x), lambda x: hf.MinPLogitsWarper(x), (0.0, 1.0)),
        (lambda x: RepetitionPenalty(x), lambda x: hf.RepetitionPenaltyLogitsProcessor(x), (0.5, 2)),
    ]


def test_stages_keep_and_score_as_transformers_processors_do():
    """500 chains of random stages, random settings, random vocabularies; ties cannot occur."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    table = pairs()
    for _ in range(500):
        size = int(rng.integers(2, 200))
        logits = (rng.standard_normal(size) * rng.uniform(0.1, 6)).astype(np.float32)
        ids = rng.integers(0, size, rng.integers(1, 12))
        ours, theirs = Scores.of(logits), torch.tensor(logits)[None]
        for which in rng.integers(0, len(table), rng.integers(1, 5)):
            make, oracle, (low, high) = table[which]
            x = float(rng.uniform(low, high))
            ours = make(x)(ours, Context(ids))
            theirs = oracle(x)(torch.tensor(ids)[None], theirs)
        expected = theirs[0].numpy()
        assert ours.ids.tolist() == np.flatnonzero(expected > -np.inf).tolist()
        np.testing.assert_allclose(ours.values, expected[ours.ids], rtol=0, atol=1e-6)


LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=50, unique=True)


@settings(max_examples=300, deadline=None)
@given(LOGITS, st.floats(0, 1), st.integers(1, 60), st.floats(0, 1))
def test_truncations_keep_the_best_token_and_change_no_score(logits, p, k, m):
    scores = Scores.of(np.array(logits, np.float32))
    for stage in (TopP(p), TopK(k), MinP(m)):
        after = stage(scores, CONTEXT)
        assert int(np.argmax(scores.values)) in after.ids
        assert np.array_equal(after.values, scores.values[after.ids])


@settings(max_examples=200, deadline=None)
@given(LOGITS, st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_p_keeps_no_fewer_tokens(logits, a, b):
    scores = Scores.of(np.array(logits, np.float32))
    few, many = (set(TopP(x)(scores, CONTEXT).ids.tolist()) for x in sorted((a, b)))
    assert few <= many
