"""minilm trace: every example runs on a recorded run, exit codes, and nothing raw on the terminal."""

import csv
import io
import json
import shlex
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import click
import jsonschema
import pytest
from click.testing import CliRunner

from minilm import backends
from minilm.cli import command as minilm
from minilm.cli.trace.show import command as trace
from minilm.errors import MinilmError
from minilm.generation import start
from minilm.records import ModelConfig
from minilm.trace import TraceWriter, read_trace
from minilm.trace.logits import logits_path
from minilm.trace.replay import open_recording
from minilm.trace.schema import trace_schema


class Letters:
    """Ids 1 to 95 are the printable ASCII characters; id 0 ends, id 96 is an escape sequence."""

    special_ids = {"eos": 0}  # noqa: RUF012
    vocab_size = 97

    def encode(self, text, special=False):
        return [ord(c) - 31 for c in text]

    def decode(self, ids):
        return "".join(map(self.text, ids))

    def text(self, token_id):
        return "\x1b[2J" if token_id == 96 else chr(31 + token_id) if token_id else ""

    def piece(self, token_id):
        return self.text(token_id) or "</s>"

    def piece_bytes(self, token_id):
        return self.text(token_id).encode()

    def stream(self):
        return self

    def copy(self):
        return self

    def push(self, token_id):
        return self.text(token_id)

    def flush(self):
        return ""

    def chat(self, messages):
        return None


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with run.jsonl, its logits, and other.jsonl of another seed; a hostile token is in both."""
    folder = tmp_path_factory.mktemp("runs")
    model = backends.create("numpy", ModelConfig(97, 8, 8, seed=1))
    for name, seed in (("run", 0), ("other", 1)):
        path = folder / f"{name}.jsonl"
        stages = "Bias({96: 3.0}) Temperature(0.8) TopK(30) TopP(0.95)"
        cursor = start(model, Letters(), "Once", stages, seed, max_tokens=6, watch=[5])
        with (
            path.open("w", encoding="utf-8") as file,
            logits_path(path).open("wb") as rows,
            TraceWriter(file, cursor, rows) as writer,
        ):
            for place in cursor.cursors():
                writer.step(place.peek(), place.reading.logits[-1])
    return folder


@pytest.fixture
def run(recorded, monkeypatch, tmp_path):
    """A function that runs `minilm trace ...` in a folder that holds the recorded runs."""
    for file in recorded.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)

    def call(line):
        result = CliRunner().invoke(minilm, ["trace", *shlex.split(line)])
        if isinstance(result.exception, MinilmError):
            assert "\n" not in str(result.exception)
            return 2, str(result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        assert "\x1b" not in result.output
        return result.exit_code, result.output

    return call


def lines():
    return Path("run.jsonl").read_text("utf-8").splitlines()


def write(rows, name="run.jsonl"):
    Path(name).write_text("\n".join(rows) + "\n", encoding="utf-8")


EXAMPLES = [
    found.epilog.partition("\n\n")[0].removeprefix("Example: minilm trace ")
    for found in (trace, *trace.commands.values())
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_of_every_help_runs(run, example):
    assert run(example)[0] == 0


def test_every_part_of_the_issue_is_there():
    assert set(trace.commands) == {"show", "plot", "html", "csv", "diff", "check", "replay", "sweep"}
    assert isinstance(trace, click.Group)


def test_show_renders_the_steps_as_generate_does(run):
    from minilm.faces.text import render

    steps = read_trace("run.jsonl").steps
    code, output = run("show run.jsonl")
    assert code == 0
    for step in steps:
        assert render(step) in output
    assert render(steps[1]) not in run("show run.jsonl --steps 1")[1]
    assert all(render(step) in run("show run.jsonl --steps 2-3")[1] for step in steps[1:3])
    assert json.loads(run("show run.jsonl --steps 2 --json")[1])["index"] == 1


@pytest.mark.parametrize("steps", ["0", "7", "3-2", "2-9", "x", "-1", "1-", "١x"])
def test_steps_that_are_not_there_are_refused(run, steps):
    code, output = run(f"show run.jsonl --steps={steps}")
    assert code == 2
    assert "--steps" in output


def test_margins_are_shown_with_full_or_on_request_only(run):
    assert "nearest logit" not in run("show run.jsonl")[1]
    assert run("show run.jsonl --show full")[1].count("nearest logit") == 6
    assert run("show run.jsonl --margins")[1].count("nearest temperature") == 6
    logits_path("run.jsonl").unlink()
    assert "nearest logit" not in run("show run.jsonl --show full")[1]
    code, output = run("show run.jsonl --margins")
    assert (code, "--logits" in output) == (2, True)


def test_a_run_whose_margins_cannot_be_known_is_shown_all_the_same(tmp_path, monkeypatch):
    """A constraint needs a tokenizer, which a trace does not carry."""
    pytest.importorskip("llguidance")
    monkeypatch.chdir(tmp_path)
    words = ["generate", "--max-tokens", "2", "--stages", "Regex('[a-z ]+')", "--trace", "run", "--logits"]
    assert CliRunner().invoke(minilm, words).exit_code == 0
    shown = CliRunner().invoke(trace, ["show", "run", "--show", "full"]).output
    assert shown.count(" margins not known: A trace carries no tokenizer") == 2
    assert "\nended " in shown
    demanded = CliRunner().invoke(trace, ["show", "run", "--margins"]).exception
    assert "A trace carries no tokenizer" in str(demanded)


def test_the_schema_is_printed_whole(run):
    schema = json.loads(run("show --schema")[1])
    assert schema == trace_schema()
    for line in lines():
        jsonschema.validate(json.loads(line), schema)
    assert run("show")[0] == 2


def test_check_exits_1_naming_line_and_identity(run):
    assert run("check run.jsonl")[0] == 0
    rows = lines()
    line = json.loads(rows[4])
    line["decision"]["stages"][2]["mass_kept"] = 0.5
    rows[4] = json.dumps(line)
    write(rows)
    code, output = run("check run.jsonl")
    assert code == 1
    assert output.startswith("line 5: KL of a truncation: TopK(30): ")
    assert json.loads(run("check run.jsonl --json")[1].splitlines()[0])["violation"]["line"] == 5


def test_check_decides_every_step_again_where_the_logits_lie_beside_the_trace(run):
    assert (
        run("check run.jsonl")[1].splitlines()[1]
        == "its 6 steps, decided again from the logits, are the same"
    )
    rows = lines()
    line = json.loads(rows[4])
    line["decision"]["fragile"] = not line["decision"]["fragile"]
    write([*rows[:4], json.dumps(line), *rows[5:]])
    code, output = run("check run.jsonl")
    assert (code, output.count("\n")) == (1, 1)
    assert output.startswith("line 5: replay: Step 3 differs at the choice, fragile: the line ")
    logits_path("run.jsonl").unlink()
    assert run("check run.jsonl") == (0, "run.jsonl: every line passes every check\n")


def test_diff_exits_1_and_names_step_and_stage(run):
    assert run("diff run.jsonl run.jsonl") == (0, "the two runs agree in every step\n")
    code, output = run("diff run.jsonl other.jsonl")
    assert code == 1
    assert "What was asked differs at the start, seed: run.jsonl 0, other.jsonl 1" in output
    assert "Step 1 differs at the draw, u" in output
    assert [json.loads(row)["schema"] for row in run("diff run.jsonl other.jsonl --json")[1].splitlines()]


def test_csv_is_a_row_per_step_or_per_candidate_and_no_cell_is_a_formula(run):
    steps = read_trace("run.jsonl").steps
    rows = list(csv.DictReader(io.StringIO(run("csv run.jsonl")[1])))
    assert [int(row["chosen_id"]) for row in rows] == [step.decision.chosen.id for step in steps]
    assert [float(row["u"]) for row in rows] == [step.decision.u for step in steps]
    rows = list(csv.DictReader(io.StringIO(run("csv run.jsonl --candidates")[1])))
    assert len(rows) == sum(len(step.decision.candidates) for step in steps)
    assert [float(r["logit"]) for r in rows[:3]] == [c.logit for c in steps[0].decision.candidates[:3]]
    texts = [row["text"] for row in rows]
    assert '"\\x1b[2J"' in texts
    assert all(text[0] in '"<b' for text in texts)
    assert run("csv run.jsonl --out run.csv") == (0, "")
    assert run("csv run.jsonl --out run.csv")[0] == 2


def test_plots_and_page_are_written(run, tmp_path):
    code, output = run("plot run.jsonl --format svg --out pictures")
    assert code == 0
    names = [path.name for path in (tmp_path / "pictures").iterdir()]
    assert {"course.svg", "candidates.svg", "embeddings.svg", "ranks.svg"} < set(names)
    assert len(output.splitlines()) == len(names) == 5
    for name in names:
        ElementTree.parse(tmp_path / "pictures" / name)
    assert run("html run.jsonl")[0] == 0
    page = (tmp_path / "run.jsonl.html").read_text("utf-8")
    assert "\x1b" not in page
    assert page.count("<figure>") == 5
    assert run("html run.jsonl")[0] == 2


def test_replay_shows_the_first_step_where_the_text_would_part(run):
    code, output = run("replay run.jsonl")
    assert (code, output.splitlines()[-1]) == (0, "the text stays the same")
    output = run("replay run.jsonl --stages 'Greedy()'")[1]
    parted = [one.parts for one in open_recording("run.jsonl").replay("Greedy()")].index(True)
    assert output.count("\nstep") == parted < 5
    assert " ".join(output.split()).endswith("from here on the text is a different one")
    assert len(run("replay run.jsonl --stages 'Greedy()' --all --json")[1].splitlines()) == 6


def test_sweep_gives_a_table_and_a_picture(run, tmp_path):
    code, output = run("sweep run.jsonl --over TopP --from 0.1 --to 1 --values 4 --plot map.png --step 2")
    assert code == 0
    assert "TopP  same tokens  entropy  survivors  first difference" in output
    assert len([line for line in output.splitlines() if " of 6" in line]) == 4
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
    other = "Bias({96: 3.0}) Temperature(0.1) TopK(30) TopP(0.95)"
    parted = [one.parts for one in open_recording("run.jsonl").replay(other)].index(True)
    output = run("sweep run.jsonl --from 0.1 --to 0.1 --values 1")[1]
    assert f"step {parted + 1}, with " in output


def test_the_last_step_of_a_run_can_be_drawn(run):
    assert run("sweep run.jsonl --values 2 --plot map.svg --step 6")[0] == 0
    assert run("sweep run.jsonl --values 2 --plot map.svg --step 7")[0] == 2


@pytest.mark.parametrize(
    ("stage", "first", "last", "count"),
    [
        ("Temperature", "0.1", "2", 11),
        ("TopP", "0.1", "1", 11),
        ("MinP", "0.1", "1", 11),
        ("TopK", "1", "40", 11),
    ],
)
def test_a_sweep_needs_no_ends_whatever_it_varies(run, stage, first, last, count):
    code, output = run(f"sweep run.jsonl --over {stage}")
    values = [line.split()[0] for line in output.splitlines()[1:]]
    assert code == 0
    assert (values[0], values[-1], len(values)) == (first, last, count)


def test_whole_numbers_are_swept_once_each(run, tmp_path):
    code, output = run("sweep run.jsonl --over TopK --from 1 --to 4 --plot map.png")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines() if " of 6" in line] == ["1", "2", "3", "4"]
    assert (tmp_path / "map.png").exists()


@pytest.mark.parametrize(
    "line",
    [
        "show none.jsonl",
        "sweep run.jsonl --from 2 --to 1",
        "sweep run.jsonl --values 0",
        "sweep run.jsonl --from nan",
        "sweep run.jsonl --over Nothing",
        "sweep run.jsonl --from -1",
        "sweep run.jsonl --plot map.gif",
        "sweep run.jsonl --plot map.png --step 9",
        "replay run.jsonl --stages 'Temperature(0)'",
        "plot run.jsonl --out run.jsonl",
        "html run.jsonl --out missing/page.html",
    ],
)
def test_wrong_use_is_one_line(run, line):
    assert run(line)[0] == 2


def test_a_run_without_steps_is_shown_and_not_drawn(run):
    rows = lines()
    write(rows[:1], "empty.jsonl")
    assert run("show empty.jsonl")[0] == 0
    assert run("csv empty.jsonl")[0] == 0
    for part in ("plot", "html"):
        assert run(f"{part} empty.jsonl")[0] == 2


def test_generate_writes_the_logits_beside_the_trace(tmp_path, monkeypatch):
    import numpy as np

    from minilm.cli import generate
    from minilm.workflows.open import Opened

    opened = Opened(backends.create("numpy", ModelConfig(97, 8, 8, seed=1)), Letters(), (0,))
    monkeypatch.setattr(generate.GenerateRequest, "open", lambda self: opened)
    path = tmp_path / "run.jsonl"
    options = ["generate", "--prompt", "Once", "--max-tokens", "5", "--trace", str(path), "--logits"]
    result = CliRunner().invoke(minilm, options)
    assert result.exit_code == 0, result.output
    stored, steps = np.load(logits_path(path)), read_trace(path).steps
    assert (stored.shape, stored.dtype) == ((len(steps), 97), np.float32)
    for row, step in zip(stored, steps, strict=True):
        assert {c.id: c.logit for c in step.decision.candidates} == {
            c.id: float(row[c.id]) for c in step.decision.candidates
        }
    again = CliRunner().invoke(minilm, options)
    assert isinstance(again.exception, MinilmError)
    alone = CliRunner().invoke(minilm, [*options[:-3], "--logits"])
    assert "--trace" in str(alone.exception)


def test_a_step_taken_by_hand_has_no_margins(run, recorded):
    trace = read_trace("run.jsonl")
    step = replace(
        trace.steps[0], decision=replace(trace.steps[0].decision, forced=True, u=None, margin=None)
    )
    from minilm.trace.json import as_json, dumps

    rows = lines()
    rows[2] = dumps(as_json(step))
    write(rows)
    assert run("show run.jsonl --show full")[1].count("nearest logit") == 5


@pytest.mark.parametrize("content", ["", '{"schema": "minilm.trace/1", "st'])
def test_a_trace_without_a_whole_line_says_so_wherever_it_is_read(run, content):
    with open("nothing.jsonl", "w", encoding="utf-8") as file:
        file.write(content)
    for line in (
        "show nothing.jsonl",
        "csv nothing.jsonl",
        "diff nothing.jsonl run.jsonl",
        "replay nothing.jsonl",
    ):
        code, output = run(line)
        assert (code, output.count("\n")) == (2, 0)
        assert output.startswith("Trace nothing.jsonl holds no whole line of a run")
    assert run("check nothing.jsonl")[0] == 1
