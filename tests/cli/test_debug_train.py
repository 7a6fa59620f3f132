"""minilm debug train, by a script: every command answers, a mistake is one line, and the session goes on."""

import json
import re

import pytest
from click.testing import CliRunner

from minilm.cli import command as minilm

SMALL = [
    "--steps",
    "12",
    "--hidden",
    "8",
    "--embedding",
    "6",
    "--length",
    "16",
    "--batch",
    "2",
    "--vocab-size",
    "300",
]
TEXT = "the fox met a dragon. the hare met the fox. " * 60
NINES = "9" * 5000  # more digits than Python makes a number of


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("debug")
    words = "".join(f"{TEXT}{number} to be or not to be, {number * number}\n" for number in range(12))
    (folder / "plays.txt").write_text(words)
    return folder


def run(folder, orders, *more):
    (folder / "orders.txt").write_text(orders)
    arguments = ["debug", "train", "--text", str(folder / "plays.txt"), "--backend", "numpy", *SMALL, *more]
    result = CliRunner().invoke(minilm, [*arguments, "--script", str(folder / "orders.txt")])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


def losses(output):
    return re.findall(r"train step (\d+)  loss ([\d.]+)", output)


def test_going_back_and_on_again_meets_the_same_losses(files):
    first = losses(run(files, "next 6\nback 4\nnext 2\njump 6\nnext\n"))
    by_step = {}
    for step, loss in first:
        assert by_step.setdefault(step, loss) == loss
    assert [step for step, _ in first] == ["1", "2", "3", "4", "5", "6", "2", "3", "4", "6", "7"]


def test_every_look_answers_and_changes_nothing(files, tmp_path):
    looks = [
        "tokens 1",
        "surprised 3",
        "norms",
        "gradients",
        "update",
        "gates the fox",
        "prompt the fox",
        "print loss",
    ]
    looks += [
        f"gates {tmp_path / 'g.png'}",
        "effect the",
        "print embedding[3,0]",
        "print gradient head.bias",
        "batch",
    ]
    looks += [
        "print update embedding",
        "print inputs",
        "branches",
        "help",
        "rate",
        "print snapshot adam.step",
    ]
    plain = losses(run(files, "next 4\nnext\n"))
    looked = run(files, "next 4\n" + "\n".join(looks) + "\nnext\n")
    assert "refused" not in looked
    assert losses(looked)[-1] == plain[-1]
    assert (tmp_path / "g.png").exists()
    assert (tmp_path / "g-training.png").exists()
    assert '" fox"' in looked
    assert "update/weight" in looked


def test_a_printed_batch_is_that_of_the_next_step(files):
    output = run(files, "next 2\nprint inputs\nprint loss\n")
    assert "\ninputs of step 3  shape (2, 16)\n" in output
    assert f"\nloss = {losses(output)[-1][1]}" in output


def test_mistakes_are_one_line_each_and_the_place_stays(files):
    wrong = ["jump 99", "jump x", "until grad_norm >", "until los > 3", "switch nowhere", "branch trunk"]
    wrong += ["diff a b", "rate fast", "rate -1", "batch 0x", "print nothing", "print embedding[9999]"]
    wrong += ["prompt", "save", "back 9", "batch 0", "surprised 0", "print loss[0]", "print embedding[,]"]
    wrong += [f"print embedding[{NINES}]", f"print mask[0,{NINES}]", f"next {NINES}"]
    output = run(files, "next 2\n" + "\n".join(wrong) + "\nnext\n")
    answers = [line for line in output.splitlines() if line.startswith("refused: ")]
    assert len(answers) == len(wrong)
    assert max(map(len, answers)) < 300
    assert [step for step, _ in losses(output)] == ["1", "2", "3"]


def test_a_branch_with_another_rate_is_told_apart_from_the_trunk(files):
    output = run(
        files, "next 2\nbranch fast\nrate 0.5\nnext 3\nswitch trunk\nnext 3\ndiff trunk fast\nbranches\n"
    )
    table = output.partition("diff trunk fast")[2]
    assert re.search(r"^ +3 .*0\.0e\+00 .* 0\.5 ", table, re.M), "the loss of the first step is the same"
    assert "rate 0.5 from step 3 on" in output
    assert "* trunk at step 5: as planned" in output


LOOKS = "gradients\nupdate\nnorms\ngates\ntokens 1\nsurprised 2\nprint embedding\n"


@pytest.mark.parametrize("backend", ["numpy", "torch", "tensorflow"])
@pytest.mark.parametrize(
    ("rate", "dtype", "bursts"),
    [("1e30", "float32", False), ("1e45", "float32", True), ("1e308", "float64", True)],
)
def test_a_rate_far_too_large_is_answered_in_lines_without_a_warning(files, backend, rate, dtype, bursts):
    """A warning would be an error here. A loss that is finite is shown, however large; another is named."""
    pytest.importorskip(backend)
    orders = f"next 2\nbranch wild\nrate {rate}\nnext\n{LOOKS}next\n{LOOKS}next 2\ndiff trunk wild\nback\n"
    output = run(files, orders, "--backend", backend, "--dtype", dtype)
    assert [step for step, _ in losses(output)][:4] == ["1", "2", "3", "2" if bursts else "4"]
    refused = [line for line in output.splitlines() if line.startswith("refused: ")]
    assert ("Loss is nan in step 4" in output) == bursts
    assert all(re.search("Loss is nan in step 4|hidden states are not finite", line) for line in refused)


def test_until_stops_where_its_condition_holds(files):
    output = run(files, "until token 'dragon' seen\nuntil loss < 5.5\ncontinue\n")
    assert "stopped: token 'dragon' seen holds at step" in output
    assert "stopped: step 12 is the last one" in output


def test_the_saved_model_is_the_one_of_its_place(files, tmp_path):
    run(files, f"next 3\njump 1\nsave {tmp_path / 'model'}\n")
    result = CliRunner().invoke(minilm, ["score", "the fox", "--model", str(tmp_path / "model")])
    assert result.exit_code == 0, result.output


def test_it_goes_on_from_a_checkpoint_of_minilm_train(files, tmp_path):
    out = tmp_path / "run"
    text = ["--text", str(files / "plays.txt"), "--backend", "numpy"]
    assert CliRunner().invoke(minilm, ["train", *text, *SMALL, "--out", str(out)]).exit_code == 0
    (files / "orders.txt").write_text("next 2\nback 2\njump 3\n")
    again = ["debug", "train", "--run", str(out), "--steps", "15", "--script", str(files / "orders.txt")]
    result = CliRunner().invoke(minilm, again)
    assert result.exit_code == 0, result.output
    assert [step for step, _ in losses(result.output)] == ["13", "14"]
    assert "at step 12, before any update" in result.output
    assert "Step 3 does not exist; this training has 12 to 15" in result.output


def test_debug_prompt_replays_one_prompt_with_the_same_dice(files):
    arguments = [
        "debug",
        "prompt",
        "--text",
        str(files / "plays.txt"),
        "--backend",
        "numpy",
        *SMALL,
        "--json",
    ]
    arguments += ["--prompt", "the", "--word", "fox", "--every", "4", "--effect", "2"]
    outputs = [CliRunner().invoke(minilm, arguments) for _ in range(2)]
    assert outputs[0].exit_code == 0, outputs[0].output
    assert outputs[0].stdout == outputs[1].stdout
    rows = [json.loads(line) for line in outputs[0].stdout.splitlines()]
    assert [row["moment"]["index"] for row in rows[:-1]] == [0, 4, 8, 12]
    assert rows[0]["moment"]["drift"] == pytest.approx(0, abs=1e-12)
    assert rows[-1]["effect"]["index"] == 2


def test_debug_prompt_replays_one_prompt_over_saved_checkpoints(files, tmp_path):
    out = tmp_path / "run"
    text = ["--text", str(files / "plays.txt"), "--backend", "numpy"]
    for steps in ("12", "15", "18"):
        more = ["--resume"] if out.exists() else []
        again = [*SMALL, "--steps", steps, *more]
        assert CliRunner().invoke(minilm, ["train", *text, *again, "--out", str(out)]).exit_code == 0
    folders = [out / "checkpoints" / f"step-000000{step}" for step in (15, 18)] + [out / "model"]
    given = [word for folder in folders for word in ("--models", str(folder))]
    arguments = ["debug", "prompt", *given, "--backend", "numpy", "--prompt", "the", "--json"]
    result = CliRunner().invoke(minilm, arguments)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line)["moment"] for line in result.stdout.splitlines()]
    assert [row["index"] for row in rows] == [15, 18, 3]  # a finished model tells of no step: its place
    assert rows[0]["p"] != rows[1]["p"]
    assert rows[2] == rows[1] | {"index": 3}
    refused = CliRunner().invoke(minilm, [*arguments, "--effect", "2"])
    assert refused.exit_code != 0
    assert "need a training" in str(refused.exception or refused.output)
