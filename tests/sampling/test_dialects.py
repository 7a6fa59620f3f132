"""Whole pipelines against transformers: every stage of the hf dialect, in random settings."""

from types import SimpleNamespace

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.sampling import Context, Scores, Temperature, TopK, TopP, parse, spell
from minilm.sampling.dialects import DIALECTS, PRESETS, arrange
from minilm.sampling.stages.truncation import Epsilon, Eta, TopH, Typical

EOS = 3
P = np.log([0.4, 0.3, 0.1, 0.1, 0.05, 0.05])


def kept(stage, logits=P):
    return stage(Scores.of(logits), Context(np.array([0]))).ids.tolist()


def test_typical_epsilon_and_eta_on_numbers_worked_by_hand():
    assert kept(Typical(0.2)) == [1]  # not the most likely one
    assert kept(Typical(0.5)) == [0, 1]
    assert kept(Epsilon(0.06)) == [0, 1, 2, 3]
    assert kept(Eta(0.3)) == [0, 1]


def test_top_h_leaves_out_the_crossing_token_but_never_the_best():
    assert kept(TopH(0.01)) == [0]
    shares = np.cumsum(-np.exp(P) * P) / (-np.exp(P) * P).sum()
    assert kept(TopH(float(shares[1]) + 1e-6)) == [0, 1]
    assert kept(TopH(float(shares[1]) - 1e-6)) == [0]


def oracles(rng, size, prompt, limit):
    """Random settings: name -> (our stage as text, transformers' processor)."""
    hf = pytest.importorskip("transformers")
    words = [rng.integers(0, size, rng.integers(1, 4)).tolist() for _ in range(3)]
    biases = {tuple(w): float(rng.normal()) * 3 for w in words}
    ids = rng.integers(0, size, 3).tolist()
    x, t, k = float(rng.uniform(0.02, 0.98)), float(rng.uniform(0.3, 3)), int(rng.integers(1, size + 3))
    n = int(rng.integers(1, 12))
    return {
        "SequenceBias": (f"SequenceBias({biases})", hf.SequenceBiasLogitsProcessor(biases)),
        "RepetitionPenalty": (f"RepetitionPenalty({t})", hf.RepetitionPenaltyLogitsProcessor(t)),
        "NoRepeatNgram": (f"NoRepeatNgram({n % 3 + 1})", hf.NoRepeatNGramLogitsProcessor(n % 3 + 1)),
        "BadWords": (f"BadWords({list(map(tuple, words))})", hf.NoBadWordsLogitsProcessor(words, EOS)),
        "MinLength": (f"MinLength({n})", hf.MinLengthLogitsProcessor(n, EOS)),
        "MinNewTokens": (f"MinNewTokens({n})", hf.MinNewTokensLengthLogitsProcessor(prompt, n, EOS)),
        "ForcedBos": (f"ForcedBos({ids[0]})", hf.ForcedBOSTokenLogitsProcessor(ids[0])),
        "ForcedEos": (f"ForcedEos({EOS})", hf.ForcedEOSTokenLogitsProcessor(prompt + limit, EOS)),
        "LengthDecay": (
            f"LengthDecay({n % 4}, {t})",
            hf.ExponentialDecayLengthPenalty((n % 4, t), EOS, prompt),
        ),
        "Suppress": (f"Suppress({ids})", hf.SuppressTokensLogitsProcessor(ids)),
        "SuppressAtBegin": (
            f"SuppressAtBegin({ids})",
            hf.SuppressTokensAtBeginLogitsProcessor(ids, prompt),
        ),
        "Temperature": (f"Temperature({t})", hf.TemperatureLogitsWarper(t)),
        "TopH": (f"TopH({x})", hf.TopHLogitsWarper(x)),
        "TopK": (f"TopK({k})", hf.TopKLogitsWarper(k)),
        "TopP": (f"TopP({x})", hf.TopPLogitsWarper(x)),
        "MinP": (f"MinP({x / 2})", hf.MinPLogitsWarper(x / 2)),
        "Typical": (f"Typical({x})", hf.TypicalLogitsWarper(x)),
        "Epsilon": (f"Epsilon({x / 10})", hf.EpsilonLogitsWarper(x / 10)),
        "Eta": (f"Eta({x / 10})", hf.EtaLogitsWarper(x / 10)),
    }


def test_the_hf_dialect_keeps_and_scores_as_transformers_does_in_2000_random_settings():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    seen = set()
    for _ in range(2000):
        size, prompt, limit = int(rng.integers(6, 160)), int(rng.integers(1, 6)), int(rng.integers(1, 8))
        ids = rng.integers(0, size, prompt + rng.integers(0, limit))
        logits = (rng.standard_normal(size) * rng.uniform(0.5, 5)).astype(np.float32)
        table = oracles(rng, size, prompt, limit)
        names = [name.__name__ for name in DIALECTS["hf"] if name.__name__ in table and rng.random() < 0.3]
        ours, theirs = Scores.of(logits), torch.tensor(logits)[None]
        context = Context(ids, prompt, (EOS,), limit)
        for stage, name in zip(
            arrange(parse(" ".join(table[n][0] for n in names)), "hf"), names, strict=True
        ):
            assert type(stage).__name__ == name
            if not ours.ids.size:
                break
            ours = stage.bind(SimpleNamespace(vocab_size=size))(ours, context)
            theirs = table[name][1](torch.tensor(ids)[None], theirs)
            seen.add(name)
            expected = theirs[0].numpy()
            assert ours.ids.tolist() == np.flatnonzero(expected > -np.inf).tolist(), stage
            np.testing.assert_allclose(ours.values, expected[ours.ids], rtol=1e-6, atol=1e-6)
    assert seen == set(oracles(rng, 9, 1, 1))


def test_sequences_that_stand_in_the_context_are_found_as_transformers_finds_them():
    """Four ids, so that beginnings of any length match, up to the whole context; EOS is among them."""
    hf, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    rng, found = np.random.default_rng(4), 0
    for _ in range(1500):
        ids, logits = rng.integers(0, 4, rng.integers(1, 7)), rng.standard_normal(6).astype(np.float32)
        words = {
            tuple(rng.integers(0, 4, rng.integers(1, 6)).tolist()): float(rng.normal()) for _ in range(4)
        }
        bans = list(words)
        for text, oracle in (
            (f"SequenceBias({words})", hf.SequenceBiasLogitsProcessor(words)),
            (f"BadWords({bans})", hf.NoBadWordsLogitsProcessor([*map(list, bans)], EOS)),
        ):
            (stage,) = parse(text)
            bound = stage.bind(SimpleNamespace(vocab_size=logits.size))
            after = bound(Scores.of(logits), Context(ids, 1, (EOS,)))
            expected = oracle(torch.tensor(ids)[None], torch.tensor(logits)[None])[0].numpy()
            assert after.ids.tolist() == np.flatnonzero(expected > -np.inf).tolist(), (text, ids)
            np.testing.assert_allclose(after.values, expected[after.ids], rtol=1e-6, atol=1e-6)
            found += bool((expected != logits).any())
    assert found > 1000


def test_dialects_put_the_same_stages_in_their_own_order():
    stages = parse("TopP(0.9) Temperature(0.8) Frequency(0.1)")
    assert spell(arrange(stages, "openai")) == "Frequency(0.1) Temperature(0.8) TopP(0.9)"
    assert spell(arrange(stages, "llama.cpp")) == "Frequency(0.1, 64) TopP(0.9) Temperature(0.8)"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_constraint_comes_before_the_cuts_in_every_dialect(dialect):
    stages = parse("TopP(0.9) Temperature(0.8) Choice(['a']) Bias({3: 1})")
    assert spell(arrange(stages, dialect)).startswith("Bias({3: 1}) Choice(['a']) T")


def test_a_dialect_refuses_what_it_does_not_have():
    with pytest.raises(MinilmError, match="openai has no TopK"):
        arrange([TopK(3)], "openai")
    with pytest.raises(MinilmError, match=r"one of hf, llama.cpp, openai, got 'gpt'"):
        arrange([TopK(3)], "gpt")


def test_presence_and_frequency_count_generated_ids_only():
    context = Context(np.array([0, 1, 1, 2, 1]), 2)
    scores = Scores.of(np.zeros(4))
    assert parse("Presence(0.5)")[0](scores, context).values.tolist() == [0, -0.5, -0.5, 0]
    assert parse("Frequency(0.5)")[0](scores, context).values.tolist() == [0, -1, -0.5, 0]
    assert parse("Frequency(0.5, 4)")[0](scores, context).values.tolist() == [0, -1.5, -0.5, 0]


def test_presets_are_stages_in_the_order_of_transformers():
    assert set(PRESETS) == {"greedy", "balanced", "reliable", "creative"}
    for text in PRESETS.values():
        assert arrange(parse(text), "hf") == parse(text)
    assert parse(PRESETS["balanced"])[1:] == (Temperature(0.7), TopP(0.8))
