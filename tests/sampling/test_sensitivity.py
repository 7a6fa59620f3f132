"""How near a decision was to another one: what bisection finds is what trying everything finds."""

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.numerics import softmax
from minilm.sampling import Context, decide, parse
from minilm.sampling.ledger import Ledger, choose_token, is_drawn
from minilm.sampling.parameters import get_number, set_number
from minilm.sampling.scores import Scores, float32
from minilm.sampling.sensitivity import (
    WOBBLE,
    can_be_fragile,
    can_flip,
    find_cut,
    find_margins,
    find_smallest_change,
    find_truncations,
)
from minilm.sampling.stage import run_stages

HERE = Context(np.array([1, 2, 2]), 1, (0,), None)
PIPELINES = [
    "",
    "Greedy()",
    "Temperature(0.7) TopK(5)",
    "RepetitionPenalty(1.3) Temperature(1.4) TopP(0.8)",
    "TopP(0.9) MinP(0.1) Temperature(0.9)",
    "Typical(0.6) Frequency(0.5)",
    "Eta(0.1) TopH(0.7)",
]


def truncations_of(logits, stages):
    return find_truncations(run_stages(logits, HERE, stages), stages)


def is_fragile(logits, context, stages, u, wobble=WOBBLE):
    """Return whether changes of at most `wobble` choose another token, by running them."""
    chosen = choose_token(logits, context, stages, u)
    return can_flip(float32(logits), context, stages, u, chosen, truncations_of(logits, stages), wobble)


def cases(number, size=12):
    dice = np.random.default_rng(7)
    for case in range(number):
        stages = parse(PIPELINES[case % len(PIPELINES)])
        yield dice.normal(size=size).astype(np.float32) * 2, stages, float(dice.random())


def test_choose_takes_what_decide_takes():
    for logits, stages, u in cases(400):
        for draw in (u, None):
            decision = decide(logits, HERE, stages, draw, lambda i: (str(i), b""))
            assert choose_token(logits, HERE, stages, draw) == decision.chosen.id


def test_choose_takes_what_decide_takes_at_every_end_of_its_intervals():
    dice = np.random.default_rng(3)
    for _ in range(40):
        logits = dice.normal(size=30).astype(np.float32) * 3
        p = np.exp(logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum()))
        ends = np.cumsum(p)[:-1]
        for u in [*ends, *np.nextafter(ends, 0), *np.nextafter(ends, 1), 1 - 2.0**-53]:
            decision = decide(logits, HERE, (), float(u), lambda i: (str(i), b""))
            assert choose_token(logits, HERE, (), float(u)) == decision.chosen.id
            assert decision.interval[0] <= u < decision.interval[1]


def test_the_smallest_change_of_a_logit_is_as_small_as_trying_every_token_finds():
    """Oracle: all 12 tokens, both signs, on a fine grid of 4,000 changes."""
    for logits, stages, u in cases(21):
        chosen = choose_token(logits, HERE, stages, u)
        found = find_margins(logits, HERE, stages, u).logit
        for by in np.geomspace(1e-3, 20, 4000) if found is None else [abs(found.by) * 0.98]:
            for token in range(len(logits)):
                for sign in (-1, 1):
                    changed = logits.copy()
                    changed[token] += np.float32(sign * by)
                    assert choose_token(changed, HERE, stages, u) == chosen, (stages, token, sign * by, found)
            if found is None:
                break


def test_the_change_found_chooses_the_token_that_it_names_and_a_little_less_does_not():
    for logits, stages, u in cases(70):
        chosen = choose_token(logits, HERE, stages, u)
        found = find_margins(logits, HERE, stages, u)
        if found.logit is not None:
            for share, expected in ((1.0, found.logit.chosen), (0.99, chosen)):
                changed = logits.copy()
                changed[found.logit.token] += np.float32(found.logit.by * share)
                assert choose_token(changed, HERE, stages, u) == expected
        if found.temperature is not None:
            here = get_number(stages, "Temperature") or 1.0
            for share, expected in ((1.0, found.temperature.chosen), (0.99, chosen)):
                changed = set_number(stages, "Temperature", here + found.temperature.by * share)
                assert choose_token(logits, HERE, changed, u) == expected


def test_two_tokens_worked_by_hand():
    """p = [0.6, 0.4] and u = 0.5: token 1 is taken once p0 < 0.5, so ln 1.5 has to go."""
    found = find_margins(np.log([0.6, 0.4]), HERE, (), 0.5)
    assert abs(found.logit.by) == pytest.approx(np.log(1.5), abs=1e-5)
    assert found.logit.chosen == 1
    assert found.temperature is None  # a hotter one only nears 0.5, and u = 0.5 is not below it


def test_none_within_20_is_an_answer():
    found = find_margins(np.array([50.0, 0.0, 0.0]), HERE, parse("Greedy()"), None)
    assert (found.logit, found.temperature, found.fragile) == (None, None, False)


def test_a_cut_worked_by_hand():
    """TopK(2) of scores 3, 2, 1.5: the third gets in half a nat higher; equal is enough."""
    (run,) = truncations_of(np.array([3.0, 2.0, 1.5]), parse("TopK(2)"))
    cut = find_cut(run, HERE)
    assert (cut.stage, abs(cut.by)) == ("TopK(2)", pytest.approx(0.5, abs=1e-5))


def test_a_cut_that_no_score_moves_is_left_out():
    assert find_margins(np.array([3.0, 2.0, 1.5]), HERE, parse("Suppress([1])"), 0.5).cuts == ()


def test_steps_that_a_wobble_flips_are_fragile_and_no_random_wobble_flips_the_others():
    dice = np.random.default_rng(3)
    fragile = 0
    for number, (logits, stages, u) in enumerate(cases(210)):
        if number % 3 == 0 and not any("Greedy" in repr(s) for s in stages):
            decision = decide(logits, HERE, stages, u, lambda i: (str(i), b""))
            u = min(decision.interval[1] - 1e-9, 0.999999)  # just inside the end of the interval
        chosen = choose_token(logits, HERE, stages, u)
        found = is_fragile(logits, HERE, stages, u)
        fragile += found
        if not found:
            for _ in range(30):
                wobble = dice.choice([-1e-5, 1e-5], logits.size).astype(np.float32)
                assert choose_token(logits + wobble, HERE, stages, u) == chosen
    assert 30 < fragile < 120


def test_a_tie_at_a_cut_is_fragile_where_it_decides():
    assert is_fragile(np.array([2.0, 2.0 - 5e-6, 0.0]), HERE, parse("Greedy()"), None)
    assert is_fragile(np.array([2.0, 1.0, 1.0 - 5e-6]), HERE, parse("TopK(2)"), 0.9)
    assert not is_fragile(np.array([2.0, 1.0, 1.0 - 5e-6]), HERE, parse("TopK(2)"), 0.1)


def test_any_of_the_tokens_that_tie_at_a_cut_may_be_the_one_to_go():
    """Oracle: every wobble of five scores up or down; small whole numbers tie at nearly every cut."""
    dice, found = np.random.default_rng(6), 0
    wobbles = WOBBLE * np.array([[1 - 2 * (n >> i & 1) for i in range(5)] for n in range(32)], np.float32)
    for _ in range(400):
        logits, u = dice.integers(0, 3, 5).astype(np.float32), float(dice.random())
        for text in ("TopK(3)", "TopK(2) Temperature(0.5)", "MinP(0.3) TopK(3)"):
            stages = parse(text)
            tokens = {choose_token(logits + wobble, HERE, stages, u) for wobble in wobbles}
            flips = tokens != {choose_token(logits, HERE, stages, u)}
            assert is_fragile(logits, HERE, stages, u) == flips, (logits, text, u)
            found += flips
    assert 200 < found < 1000


def test_a_cut_behind_a_low_temperature_is_as_near_in_the_logits_as_before_it():
    """The oracle is the same; scores at the cut differ by up to 8e-5 / 0.05 there."""
    dice, found = np.random.default_rng(8), 0
    wobbles = WOBBLE * np.array([[1 - 2 * (n >> i & 1) for i in range(5)] for n in range(32)], np.float32)
    for _ in range(300):
        logits, u = dice.uniform(0, 8e-5, 5).astype(np.float32), float(dice.random())
        for text in ("Temperature(0.05) TopK(3)", "Temperature(0.1) RepetitionPenalty(0.2) TopK(2)"):
            stages = parse(text)
            tokens = {choose_token(logits + wobble, HERE, stages, u) for wobble in wobbles}
            flips = tokens != {choose_token(logits, HERE, stages, u)}
            assert is_fragile(logits, HERE, stages, u) == flips, (logits, text, u)
            decision = decide(logits, HERE, stages, u, lambda i: (str(i), b""))
            assert decision.fragile == flips
            found += flips
    assert 100 < found < 550


def test_a_cut_alone_can_make_a_step_fragile():
    """No change that moves an end of the draw's interval flips this step; one that moves the cut does."""
    logits = np.array([-0.4, 2.4, -0.6, -1.1, 0.4], np.float32)
    stages = parse("TopP(0.8)")
    assert choose_token(logits, HERE, stages, 0.97) == 4
    assert is_fragile(logits, HERE, stages, 0.97, wobble=0.1)
    assert not is_fragile(logits, HERE, stages, 0.97, wobble=0.01)
    behind = parse("Temperature(0.05) TopP(0.8)")  # a twentieth of the logits is as near as all of them
    assert is_fragile(logits / 20, HERE, behind, 0.97, wobble=0.1 / 20)
    assert not is_fragile(logits / 20, HERE, behind, 0.97, wobble=0.01 / 20)


def test_a_cut_before_a_high_temperature_is_no_further_for_it():
    logits = np.array([1, 1 + 5e-6, 0.2, 0.1], np.float32)
    for text in ("MinP(1)", "MinP(1) Temperature(10)"):
        stages = parse(text)
        assert is_fragile(logits, HERE, stages, 0.5)
        assert decide(logits, HERE, stages, 0.5, lambda i: (str(i), b"")).fragile


def test_a_far_cut_may_flip_a_near_one():
    """The changes of the first stage's edge flip the second stage's."""
    logits = np.array([1.3999916315078735, 1.399989366531372, 1.0624176866258495e-05], np.float32)
    assert is_fragile(logits, HERE, parse("Typical(0.9) Typical(0.3)"), 0.89)


def test_the_nearest_change_at_a_cut_may_be_up_or_down():
    """Epsilon(0.1) on 0.85, 0.09, 0.06: raising the second is less than lowering the first."""
    (run,) = truncations_of(np.log([0.85, 0.09, 0.06]), parse("Epsilon(0.1)"))
    cut = find_cut(run, HERE)
    assert (cut.token, cut.by) == (1, pytest.approx(np.log(0.091 / 0.081), abs=1e-5))
    (run,) = truncations_of(np.log([0.85, 0.11, 0.04]), parse("Epsilon(0.1)"))
    cut = find_cut(run, HERE)
    assert (cut.token, cut.by) == (1, pytest.approx(np.log(0.089 / 0.099), abs=1e-5))


def test_a_draw_at_the_end_of_an_interval_belongs_to_the_next_token():
    assert choose_token(np.zeros(2), HERE, (), 0.5) == 1
    assert decide(np.zeros(2), HERE, (), 0.5, lambda i: (str(i), b"")).chosen.id == 1


def test_the_bisection_finds_the_first_flip():
    assert find_smallest_change(lambda x: x >= 0.3, 20) == pytest.approx(0.3, rel=1e-8)
    assert find_smallest_change(lambda x: x >= 19.9, 20) == pytest.approx(19.9)
    assert find_smallest_change(lambda x: x > 20, 20) is None


def test_a_number_is_set_where_its_stage_is_or_inserted_where_transformers_has_it():
    for text, name, value, expected in [
        ("Temperature(0.8) TopK(40)", "Temperature", 0.5, "Temperature(0.5) TopK(40)"),
        ("TopK(40) TopP(0.9)", "Temperature", 2.0, "Temperature(2.0) TopK(40) TopP(0.9)"),
        ("TopK(40) MinP(0.1)", "TopP", 0.9, "TopK(40) TopP(0.9) MinP(0.1)"),
        ("TopP(0.9)", "TopK", 7.0, "TopK(7) TopP(0.9)"),
        ("TopP(0.9)", "Presence", 0.5, "TopP(0.9) Presence(0.5)"),
        ("RepetitionPenalty(1.1, 64)", "RepetitionPenalty", 1.5, "RepetitionPenalty(1.5, 64)"),
        ("Temperature(0.8) TopK(9)", "Temperature", 0.0, "TopK(9) Greedy()"),
    ]:
        assert set_number(parse(text), name, value) == parse(expected)


@pytest.mark.parametrize("name", ["Greedy", "Nothing", "Bias", ""])
def test_a_stage_without_a_number_is_refused(name):
    with pytest.raises(MinilmError, match=r"A stage with a number is one of .*Temperature"):
        set_number(parse("TopK(3)"), name, 1.0)


def test_a_number_whose_stage_cannot_be_inserted_is_refused():
    with pytest.raises(MinilmError, match="LengthDecay has several numbers"):
        set_number(parse("TopK(3)"), "LengthDecay", 2.0)
    assert set_number(parse("LengthDecay(1, 1.5)"), "LengthDecay", 2.0) == parse("LengthDecay(2, 1.5)")
    for wrong in (float("inf"), float("nan"), 2.5):
        with pytest.raises(MinilmError, match="whole number from 1"):
            set_number(parse("TopK(3)"), "TopK", wrong)


def test_softmax_of_numerics_is_what_the_draw_falls_on():
    logits = np.array([0.0, 1.0, 2.0])
    ends = np.cumsum(softmax(logits))
    for u in (0.0, ends[0] - 1e-9, ends[0] + 1e-9, ends[1] + 1e-9, 1 - 1e-12):
        assert choose_token(logits, HERE, (), u) == int(np.searchsorted(ends, u, side="right"))


CUTTING = [
    "Greedy()", "TopK(3)", "TopP(0.7)", "TopP(0.0)", "MinP(0.1)", "MinP(1.0)", "Epsilon(0.05)",
    "Epsilon(0.5)", "Epsilon(0.99)", "Eta(0.1)", "Eta(0.9)", "Typical(0.6)", "TopH(0.7)",
]  # fmt: skip


def random_scores(number, size=12):
    dice = np.random.default_rng(11)
    for _ in range(number):
        yield Scores.of(dice.normal(size=size).astype(np.float32) * dice.choice([0.3, 1, 3]))


@pytest.mark.parametrize("text", CUTTING)
def test_scores_that_move_less_than_the_cut_against_each_other_change_no_survivor(text):
    """Two scores move against each other by twice what each moves; where an entropy does too, gain() says."""
    (stage,), dice, near = parse(text), np.random.default_rng(5), 0
    for scores in random_scores(300):
        kept = stage(scores, HERE)
        if kept.cut is None:
            continue
        near += 1
        most = 0.49 * min(kept.cut, 1.0) / stage.gain(HERE)
        for _ in range(10):
            moved = scores.values + dice.choice([-most, most], scores.values.size).astype(np.float32)
            assert stage(Scores(scores.ids, moved), HERE).ids.tolist() == kept.ids.tolist()
    assert near > 250


@pytest.mark.parametrize("text", ["Greedy()", "TopK(3)", "MinP(0.1)", "Epsilon(0.05)"])
def test_the_cut_is_the_smallest_change_of_one_score_that_bisection_finds(text):
    (stage,) = parse(text)
    for scores in random_scores(60):
        logits = scores.values
        (run,) = truncations_of(logits, [stage])
        found, cut = find_cut(run, HERE), stage(scores, HERE).cut
        if found is not None and cut is not None and abs(found.by) < 10:
            assert cut == pytest.approx(abs(found.by), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("text", ["TopP(0.7)", "TopP(0.3)", "Typical(0.6)"])
def test_no_single_score_changes_a_nucleus_before_the_cut_is_reached(text):
    (stage,) = parse(text)
    seen = 0
    for scores in random_scores(100):
        (run,) = truncations_of(scores.values, [stage])
        found, cut = find_cut(run, HERE), stage(scores, HERE).cut
        if found is not None and cut is not None:
            assert cut <= stage.gain(HERE) * abs(found.by) + 1e-5
            seen += 1
    assert seen > 50


def test_cuts_worked_by_hand():
    """TopP(0.6) on 0.5, 0.3, 0.2: 0.5 is reached before the crossing, 0.8 with it; the third ln 1.5 below."""
    scores = Scores.of(np.log([0.5, 0.3, 0.2]))
    (top_p, top_k, min_p, epsilon) = parse("TopP(0.6) TopK(2) MinP(0.5) Epsilon(0.25)")
    odds = [np.log(p / (1 - p)) for p in (0.5, 0.6, 0.8)]
    assert top_p(scores, HERE).cut == pytest.approx(min(odds[1] - odds[0], odds[2] - odds[1], np.log(1.5)))
    assert top_k(scores, HERE).cut == pytest.approx(np.log(0.3 / 0.2))
    assert min_p(scores, HERE).cut == pytest.approx(np.log(0.3 / 0.25))
    assert parse("MinP(1.0)")[0](scores, HERE).cut == pytest.approx(np.log(0.5 / 0.3))
    assert epsilon(scores, HERE).cut == pytest.approx(np.log(0.3 / 0.7) - np.log(0.25 / 0.75))


def test_where_the_best_stays_though_it_is_unlikely_the_cut_is_where_another_is_best():
    """Epsilon(0.9): no probability comes near to 0.9, and the second token to the best."""
    (stage,) = parse("Epsilon(0.9)")
    scores = Scores.of(np.array([1.0, 1.0 - 3e-3, 0.0]))
    assert stage(scores, HERE).ids.tolist() == [0]
    assert stage(scores, HERE).cut == pytest.approx(3e-3, rel=1e-4)
    assert stage(Scores.of(np.zeros(4)), HERE).cut == 0
    assert decide(np.zeros(4), HERE, [stage], 0.6, lambda i: (str(i), b"")).fragile


def test_a_stage_that_compares_nothing_has_no_cut_and_does_not_inherit_one():
    stages = parse("TopK(3) TopK(40) Suppress([0]) MinP(0.0) Temperature(0.5)")
    decision = decide(np.array([3.0, 2.0, 1.0, 0.0]), HERE, stages, 0.5, lambda i: (str(i), b""))
    assert [effect.cut for effect in decision.stages] == [pytest.approx(1.0), None, None, None, None]
    assert decision.cut == pytest.approx(1.0)


def test_a_step_says_that_it_is_fragile_where_trying_every_wobble_says_so():
    """Cuts and margin alone decide whether it is tried at all; none that is fragile is left out by that."""
    dice, fragile = np.random.default_rng(9), 0
    more = (
        parse("Temperature(0.05) TopP(0.7)"),
        parse("RepetitionPenalty(3.0) Epsilon(0.05)"),
        parse("TopH(0.7)"),
    )
    for number, (logits, stages, u) in enumerate(cases(2000, size=30)):
        stages = more[number % 3] if number % 5 == 0 else stages
        logits = (logits * dice.choice([0.02, 0.3, 1])).astype(np.float32)
        if number % 2 and not any("Greedy" in repr(stage) for stage in stages):
            interval = decide(logits, HERE, stages, u, lambda i: (str(i), b"")).interval
            u = max(0.0, float(interval[1] - 10 ** -dice.uniform(3, 8)))
        found = decide(logits, HERE, stages, u, lambda i: (str(i), b"")).fragile
        assert found == is_fragile(logits, HERE, stages, u, WOBBLE), (stages, logits, u)
        fragile += found
    assert 100 < fragile < 1500


def test_a_forced_step_and_a_lone_survivor_are_not_fragile():
    def choice(text, u, **more):
        return decide(np.zeros(3), HERE, parse(text), u, lambda i: (str(i), b""), **more)

    assert choice("", 1 / 3).fragile
    assert not choice("", 1 / 3, forced=1).fragile
    assert not choice("Suppress([0, 1])", 1e-9).fragile
    assert choice("", None).fragile


@pytest.mark.parametrize(
    "text", ["Temperature(0.2)", "Temperature(3.0)", "RepetitionPenalty(3.0)", "RepetitionPenalty(0.3)",
             "LengthDecay(1, 2.0)", "LengthDecay(1, 0.5)", "Presence(1.0)", "Frequency(0.5)"],
)  # fmt: skip
def test_no_score_that_leaves_a_stage_moves_further_than_its_gain(text):
    (stage,), dice = parse(text), np.random.default_rng(2)
    here, furthest = Context(np.array([1, 2, 2, 4, 5]), 1, (0,), None), 0.0
    for scores in random_scores(200):
        moved = scores.values + dice.choice([-0.01, 0.01], scores.values.size).astype(np.float32)
        by = np.abs(stage(Scores(scores.ids, moved), here).values - stage(scores, here).values).max()
        assert by <= 0.01 * stage.gain(here) + 1e-5
        furthest = max(furthest, float(by))
    assert furthest > 0.3 * 0.01 * stage.gain(here)


@pytest.mark.parametrize("text", ["TopP(0.9)", "Temperature(0.5) TopP(0.8)", "TopP(0.9) Temperature(2.0)"])
def test_a_flat_nucleus_is_as_fragile_as_running_its_wobbles_says(text):
    """The neighbours of the cut decide where they can; only the other steps are run again."""
    (dice, stages), fragile, untried = (np.random.default_rng(4), parse(text)), 0, 0
    for _ in range(400):
        logits = (dice.normal(size=300) * dice.choice([1e-3, 0.01, 0.1])).astype(np.float32)
        u = float(dice.random())
        decision = decide(logits, HERE, stages, u, lambda i: (str(i), b""))
        assert decision.fragile == is_fragile(logits, HERE, stages, u)
        ledger = Ledger.of(logits, stages, HERE)
        tried = can_be_fragile(ledger, u, decision.chosen.id, decision.interval)
        untried += not tried and decision.cut < 2e-5
        fragile += decision.fragile
    assert 5 < fragile < 300
    assert untried > 20 or "TopP(0.9) " in text


def test_top_p_keeps_the_lowest_ids_among_equals_at_the_cut():
    """Oracle: a stable sort, best first, and the fewest tokens of mass p; 40 whole numbers tie everywhere."""
    dice = np.random.default_rng(12)
    for _ in range(300):
        logits = dice.integers(0, 4, 40).astype(np.float32)
        p = float(dice.uniform(0.05, 0.95))
        (stage,) = parse(f"TopP({p})")
        order = np.argsort(-logits, kind="stable")
        reached = np.cumsum(softmax(logits)[order])
        fewest = int(np.count_nonzero(reached < p - 1e-6)) + 1
        assert stage(Scores.of(logits), HERE).ids.tolist() == sorted(order[:fewest].tolist())


@pytest.mark.parametrize("spread", [0.05, 4.0])
def test_a_nucleus_of_a_large_vocabulary_is_that_of_one_sum(spread):
    """Oracle: all tokens in one cumulative sum, worst first; flat and sharp, over several blocks."""
    dice = np.random.default_rng(2)
    for p in (0.1, 0.5, 0.9, 0.999):
        scores = Scores.of((dice.normal(size=40_000) * spread).astype(np.float32))
        (stage,) = parse(f"TopP({p})")
        order = np.argsort(scores.values)
        below = softmax(scores.values)[order].cumsum()
        kept = stage(scores, HERE).ids
        assert np.isin(order[below > 1 - p + 1e-6], kept).all()
        assert not np.isin(order[below < 1 - p - 1e-6], kept).any()


def test_float32_rounds_a_large_score_by_more_than_a_wobble_and_the_mark_knows_it():
    """At 200 neighbouring float32 numbers differ by 1.53e-5, so a wobble of 1e-5 moves a score by that."""
    logits, u = np.array([200.0, 200.0], np.float32), 0.5 + 7.55e-6
    assert choose_token(logits, HERE, (), u) == 1
    assert is_fragile(logits, HERE, (), u)
    assert decide(logits, HERE, (), u, lambda i: (str(i), b"")).fragile


def test_a_token_is_drawn_where_its_interval_begins_and_not_where_it_ends():
    scores = Scores.of(np.zeros(4))
    assert [is_drawn(scores, 0.25, token) for token in range(4)] == [False, True, False, False]
    assert [is_drawn(scores, None, token) for token in range(4)] == [True, False, False, False]
    assert is_drawn(scores, 1 - 2.0**-53, 3)
