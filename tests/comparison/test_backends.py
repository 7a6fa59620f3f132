"""Backends compared step by step: a planted fault is named with its step, and equal backends are equal."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from minilm.backends import create
from minilm.comparison import (
    TextPair,
    compare_backends,
    compare_texts,
    judge_backends,
    prepare_comparison,
    train_side_by_side,
)
from minilm.comparison.backends import Place
from minilm.difference import Difference
from minilm.errors import MinilmError
from minilm.faces.comparison import comparison_table
from minilm.records import ModelConfig, OptimizerConfig, Reading
from minilm.training.batches import Batch

CONFIG = ModelConfig(17, 6, 8, layers=2)
STAGES = ("logits", "loss", "gradient", "update")


def batches(count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        ids = rng.integers(0, 17, (4, 8))
        yield Batch(ids[:, :-1], ids[:, 1:], np.ones((4, 7)))


def numpy_pair(other=CONFIG, change=lambda arrays: arrays):
    arrays = {name: np.array(array) for name, array in create("numpy", CONFIG, "float64").weights().items()}
    changed = change({name: array.copy() for name, array in arrays.items()})
    return [
        create("numpy", CONFIG, "float64", weights=arrays),
        create("numpy", other, "float64", weights=changed),
    ]


def first(pair, count=4, tolerance=1e-12):
    (verdict,) = judge_backends(train_side_by_side(pair, batches(count)), tolerance)
    return verdict.first


def test_a_model_compared_with_itself_differs_in_nothing():
    (verdict,) = judge_backends(train_side_by_side(numpy_pair(), batches(3)), 1e-15)
    assert verdict.equal
    assert verdict.steps == 3
    assert tuple(verdict.worst) == STAGES
    assert all(place.difference.apart == 0 for place in verdict.worst.values())


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_the_frameworks_equal_the_reference(backend, dtype, tolerance):
    pytest.importorskip(backend)
    (verdict,) = judge_backends(
        compare_backends(["numpy", backend], CONFIG, batches(5), dtype, rate=1e-3), tolerance
    )
    assert verdict.equal, str(verdict.first)


def test_swapped_gates_differ_in_the_logits_of_the_first_step():
    def swap(arrays):
        for part in ("kernel", "recurrent", "bias"):
            blocks = np.split(arrays[f"lstm.0.{part}"], 4, axis=-1)
            arrays[f"lstm.0.{part}"] = np.concatenate([blocks[k] for k in (0, 1, 3, 2)], axis=-1)
        return arrays

    place = first(numpy_pair(change=swap))
    assert (place.step, place.difference.stage) == (1, "logits")


def test_another_epsilon_differs_in_the_first_update():
    place = first(numpy_pair(ModelConfig(17, 6, 8, layers=2, optimizer=OptimizerConfig(epsilon=1e-4))))
    assert (place.step, place.difference.stage, place.difference.parameter) == (1, "update", "embedding")


def test_another_second_moment_differs_in_the_second_update():
    """At step 1 the bias correction cancels beta2, so an honest comparison finds it one step later."""
    other = ModelConfig(17, 6, 8, layers=2, optimizer=OptimizerConfig(beta2=0.9, epsilon=1e-300))
    same = ModelConfig(17, 6, 8, layers=2, optimizer=OptimizerConfig(epsilon=1e-300))
    pair = [create("numpy", config, "float64") for config in (same, other)]
    place = first(pair, tolerance=1e-9)
    assert (place.step, place.difference.stage) == (2, "update")


def test_a_wrong_gradient_is_named_by_its_parameter():
    pair = numpy_pair()
    honest = pair[1].gradients

    def doubled(*batch):
        found = honest(*batch)
        arrays = {name: array * (2 if name == "lstm.1.bias" else 1) for name, array in found.arrays.items()}
        return type(found)(found.loss, found.losses, arrays)

    pair[1].gradients = doubled
    place = first(pair)
    assert (place.step, place.difference.stage, place.difference.parameter) == (1, "gradient", "lstm.1.bias")
    assert str(place).startswith("step 1: gradient of lstm.1.bias, ")


def test_a_difference_that_is_no_number_is_past_every_tolerance():
    pair = numpy_pair()
    pair[1]._arrays["head.bias"][0] = np.nan
    steps = train_side_by_side(pair, batches(1), clip=None)
    (verdict,) = judge_backends(steps, tolerance=1e300)
    assert str(verdict.first) == "step 1: logits, difference nan"
    assert verdict.first is not None
    assert verdict.first.difference.scaled == float("inf")


def test_two_texts_have_the_same_draws_and_name_the_first_token_that_differs(codec):
    config = ModelConfig(codec.vocab_size, 8, 8)
    same = [create("numpy", config) for _ in range(2)]
    (equal,) = compare_texts(same, codec, "ab", seed=3, max_tokens=12)
    assert equal.parts_at is None
    assert len(equal.ids) == 12
    other = create("numpy", config)
    bias = {name: np.array(array) for name, array in other.weights().items()}
    bias["head.bias"][equal.ids[4]] = -50
    other.restore(bias)
    (parted,) = compare_texts([same[0], other], codec, "ab", seed=3, max_tokens=12)
    assert parted.parts_at is not None
    assert parted.parts_at <= 4
    assert parted.ids[: parted.parts_at] == equal.ids[: parted.parts_at]


def test_a_text_that_ends_early_differs_where_it_ends():
    assert TextPair("torch", "numpy", "", "", (1, 2), (1, 2, 3)).parts_at == 2


@pytest.fixture(scope="module")
def codec():
    import tokenizer

    return tokenizer.train(lines=["abc abd bcd", "dab cab bad"], vocab_size=270)


def test_fewer_than_two_backends_or_one_twice_is_refused():
    for names in (["numpy"], ["numpy", "numpy"], []):
        with pytest.raises(MinilmError, match="two or more different backends"):
            list(compare_backends(names, CONFIG, batches(1)))


def test_the_table_says_where_a_backend_first_differs():
    found = judge_backends(
        train_side_by_side(
            numpy_pair(ModelConfig(17, 6, 8, layers=2, optimizer=OptimizerConfig(epsilon=1e-4))), batches(2)
        )
    )
    lines = comparison_table(found).splitlines()
    assert lines[0].split() == ["backend", "stage", "largest", "difference", "step", "where"]
    assert lines[-2].startswith("numpy first differs from numpy at step 1: update of embedding, ")
    assert max(map(len, lines)) <= 100


def test_the_command_prints_a_table_and_exits_by_the_tolerance():
    pytest.importorskip("torch")
    from minilm.cli.compare.group import command

    arguments = ["--backends", "numpy,torch", "--steps", "3", "--max-tokens", "5", "--hidden", "8"]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert "torch equals numpy over 3 steps within 1e-05" in done.output
    failed = CliRunner().invoke(command, [*arguments, "--tolerance", "1e-30", "--json"])
    assert failed.exit_code == 1
    lines = [json.loads(line) for line in failed.output.splitlines()]
    assert [next(key for key in line if key != "schema") for line in lines] == ["parity"] * 3 + [
        "text",
        "verdict",
    ]
    assert lines[-1]["verdict"]["first"]["step"] == 1


def test_a_place_is_one_line():
    assert str(Place(3, Difference("logits", "", 0.5, 1.0))) == "step 3: logits, difference 5.0e-01"


def test_float32_rounding_past_the_tolerance_is_equal_and_a_small_mistake_is_not():
    """Adam turns the rounding of a small gradient into 2e-5; another epsilon does as much, in float64 too."""
    pytest.importorskip("torch")
    comparison = prepare_comparison(["numpy", "torch"], 5, rate=1e-2)
    steps, exact = list(comparison.train()), list(comparison.measure_rounding())
    assert not judge_backends(steps)[0].equal
    (verdict,) = judge_backends(steps, exact=exact)
    assert verdict.rounding
    assert verdict.equal
    assert "equal up to float32 rounding; largest" in comparison_table([verdict])
    wrong = [
        replace(step, differences=tuple(replace(one, apart=one.apart + 2e-5) for one in step.differences))
        for step in exact
        if step.backend == "torch"
    ]
    rounded = [step for step in exact if step.backend == "numpy"]
    assert not judge_backends(steps, exact=[*wrong, *rounded])[0].equal


def test_a_backend_that_loses_more_digits_than_float32_is_not_excused():
    """Planted: a backend that keeps three digits in float32 only; its run in float64 is equal."""
    pytest.importorskip("torch")
    comparison = prepare_comparison(["numpy", "torch"], 3)
    honest = comparison.models[1].read

    def read(*arguments, **more):
        reading = honest(*arguments, **more)
        return Reading(reading.logits.round(3), reading.embeddings, reading.state)

    comparison.models[1].read = read
    steps = list(comparison.train())
    (verdict,) = judge_backends(steps, exact=comparison.measure_rounding())
    assert not verdict.equal
    assert verdict.first is not None
    assert verdict.first.difference.stage == "logits"


def test_the_command_with_its_defaults_passes_on_a_healthy_install():
    """The line of README: every backend that is installed, no option."""
    pytest.importorskip("torch")
    from minilm.cli.compare.group import command

    done = CliRunner().invoke(command, ["--max-tokens", "5"])
    assert done.exit_code == 0, done.output
    assert "torch and numpy over 20 steps: equal up to float32 rounding; largest" in done.output
