"""Two frameworks with their own defaults: each cause is named, and each correction removes its part."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from minilm.cli.compare.group import command
from minilm.comparison.defaults.diagnosis import diagnose
from minilm.comparison.defaults.ladder import LadderStep, apply_corrections, count_steps
from minilm.comparison.defaults.native import NativeFramework, create_natives, draw_batches
from minilm.errors import MinilmError
from minilm.faces.comparison import ladder_table
from minilm.faces.plots.ladder import plot_ladder
from minilm.records import ModelConfig

TINY = ModelConfig(vocab_size=12, embedding_size=4, hidden_size=5)
BOTH = ("torch", "tensorflow")


@pytest.fixture(scope="module")
def pair():
    """Both frameworks in float64, where a rounding error cannot be taken for a cause; runs are kept."""
    for name in BOTH:
        pytest.importorskip(name)
    return create_natives(BOTH, 25, "float64", TINY)


def test_the_diagnosis_explains_the_difference_that_the_defaults_make(pair):
    found = diagnose(*pair)
    assert [cause.default.name for cause in found.causes] == [
        "two_biases", "embedding_init", "kernel_init", "recurrent_init", "bias_init", "head_init",
        "adam_epsilon", "adam_epsilon_hat", "adam_constants", "embedding_sparse",
    ]  # fmt: skip
    assert found.explained
    assert found.found.apart > 1e-2


def test_the_ladder_falls_to_rounding_and_no_correction_can_be_left_out(pair):
    rungs = {rung.label: rung for rung in apply_corrections(*pair)}
    assert len(rungs) == count_steps(*pair) == 12
    assert rungs["defaults"].losses > 1e-3
    assert rungs["weights copied"].losses > 1e-3
    assert rungs["+ adam_constants"].losses < 1e-12
    assert rungs["+ adam_constants"].weights < 1e-11
    left_out = [rung for rung in rungs.values() if rung.left_out]
    assert len(left_out) == 5
    for rung in left_out:
        assert rung.losses > 1e-9, rung.label
    print({label: f"{rung.losses:.1e}" for label, rung in rungs.items()})


def test_each_framework_with_all_neutral_equals_the_reference(pair):
    reference = NativeFramework("numpy", TINY, draw_batches(TINY, 25), "float64")
    for framework in pair:
        losses, weights = framework.run(frozenset(framework.defaults))
        ours, arrays = reference.run()
        assert np.abs(losses - ours).max() < 1e-12
        assert max(np.abs(weights[name] - arrays[name]).max() for name in arrays) < 1e-11
        assert np.abs(framework.run()[0] - ours).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "steps", "bound"), [("float32", 200, 1e-5), ("float64", 200, 1e-12)])
def test_with_all_neutral_the_losses_agree_over_200_steps(dtype, steps, bound):
    for name in BOTH:
        pytest.importorskip(name)
    one, other = create_natives(BOTH, steps, dtype, TINY)
    neutral = frozenset(one.defaults) | frozenset(other.defaults)
    apart = np.abs(one.run(neutral)[0] - other.run(neutral)[0]).max()
    print(f"{dtype}: {apart:.1e} apart over {steps} steps")
    assert apart < bound


def test_torchs_generator_stays_as_it_was():
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    NativeFramework("torch", TINY, draw_batches(TINY, 2)).run()
    assert torch.equal(torch.rand(3), expected)


def test_the_first_weights_are_the_frameworks_own(pair):
    from minilm.backends.tensorflow.native import _draw_keras_weights

    arrays = _draw_keras_weights(ModelConfig(50, 8, 16), "float64")
    assert 0.045 < np.abs(arrays["embedding"]).max() <= 0.05
    assert np.abs(arrays["lstm.0.kernel"]).max() <= np.sqrt(6 / (8 + 64))
    assert np.abs(arrays["lstm.0.recurrent"] @ arrays["lstm.0.recurrent"].T - np.eye(16)).max() < 1e-6
    assert arrays["lstm.0.bias"].tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32


def test_the_command_explains_natives_and_draws_the_ladder(tmp_path):
    pytest.importorskip("torch")
    run = CliRunner()
    explained = run.invoke(command, ["--native", "numpy,torch", "--steps", "5"])
    assert explained.exit_code == 1
    assert "explained by two_biases, embedding_init, " in explained.output
    file = tmp_path / "ladder.svg"
    climbed = run.invoke(
        command, ["--ladder", "--native", "numpy,torch", "--steps", "5", "--plot", str(file)]
    )
    assert climbed.exit_code == 0, climbed.output
    header = climbed.output.splitlines()[0]
    assert [cell.strip() for cell in header.split("  ") if cell.strip()] == [
        "neutral", "difference of losses", "difference of weights"
    ]  # fmt: skip
    assert "are equal" in climbed.output.splitlines()[-1]
    assert file.read_bytes().startswith(b"<?xml")
    lines = run.invoke(command, ["--ladder", "--native", "numpy,torch", "--steps", "5", "--json"]).output
    assert [json.loads(line)["rung"]["label"] for line in lines.splitlines()] == [
        "defaults", "weights copied", "+ two_biases", "all but two_biases"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--native", "torch"], "takes two frameworks"),
        (["--native", "torch,torch"], "takes two frameworks"),
        (["--native", "numpy,jax"], "Native frameworks here are"),
        (["--native", "numpy,torch", "--dtype", "float16"], "float32 or float64"),
        (["--native", "numpy,torch", "--steps", "0"], "at least 1"),
        (["--plot", "x.png"], "give --ladder too"),
    ],
)
def test_wrong_use_is_one_line(arguments, message):
    found = CliRunner().invoke(command, arguments).exception
    assert isinstance(found, MinilmError)
    assert message in str(found)


def test_the_table_and_the_picture_say_the_same():
    rungs = [
        LadderStep("weights copied", False, np.array([1e-3, 2e-2]), 0.3),
        LadderStep("+ two_biases", False, np.array([0.0, 0.0]), 0.0),
        LadderStep("all but two_biases", True, np.array([0.0, 3e-2]), 0.1),
    ]
    table = ladder_table(rungs, "A", "B", 1e-5)
    assert table.splitlines()[1].split() == ["weights", "copied", "2.0e-02", "3.0e-01"]
    assert (
        table.splitlines()[-1]
        == "with every correction B and A are equal: the losses differ by 0.0e+00 over 2 steps"
    )
    picture = plot_ladder(rungs, "A", "B", 1e-5)
    assert picture.alt == (
        "Differences between the losses of B and A: weights copied 2.0e-02; + two_biases 0.0e+00; "
        "all but two_biases 3.0e-02."
    )
    assert picture.png()[:4] == b"\x89PNG"


@pytest.mark.parametrize("place", [0, 1], ids=BOTH)
def test_a_run_leaves_nothing_behind_for_the_next(pair, place):
    framework = pair[place]
    batches = [(one.inputs, one.targets, one.mask) for one in draw_batches(TINY, 3)]
    neutral = frozenset(framework.defaults)
    first, again = (framework._trainer.train(batches, 1e-2, neutral)[0] for _ in range(2))
    assert np.array_equal(first, again)
