"""`minilm debug generate` from a script: every command, its echo, its refusals in one line."""

import gc
import json
import re

import pytest
from click.testing import CliRunner

import tokenizer
from minilm import backends
from minilm.cli import command as minilm
from minilm.cli.debug.generate_inspect import INSPECT
from minilm.cli.debug.generate_navigate import NAVIGATE
from minilm.cli.debug.values import field_at, shown
from minilm.errors import MinilmError
from minilm.generation import open_session
from minilm.generation.breakpoints import NAMES
from minilm.records import ModelConfig, Step
from minilm.sampling import parse
from minilm.sampling.parsing import EXAMPLES
from minilm.storage.model_folder import write_model
from minilm.trace import read_trace


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small untrained model with a tokenizer of its own."""
    place = tmp_path_factory.mktemp("models") / "small"
    codec = tokenizer.train(lines=["once upon a time there was a little fox"] * 9, vocab_size=290)
    model = backends.create("numpy", ModelConfig(codec.vocab_size, 8, 12, seed=4))
    write_model(place, model.config, model.weights(), codec.model_bytes)
    return place


@pytest.fixture
def debug(folder, tmp_path, monkeypatch):
    """Runs lines as a script and gives what each of them showed."""
    monkeypatch.chdir(tmp_path)

    def run(*lines, options=()):
        (tmp_path / "script").write_text("\n".join(lines) + "\n", encoding="utf-8")
        words = ["debug", "generate", "--model", str(folder), "--script", "script", *options]
        done = CliRunner().invoke(minilm, words)
        assert done.exit_code == 0, f"{done.output}{done.exception!r}"
        shown = re.split(r"(?m)^\(\d+:\d+.*\n", done.output)[1:]
        assert len(shown) == len(lines)
        return [part.rstrip("\n") for part in shown]

    return run


def test_the_script_is_echoed_after_a_prompt_that_says_where_one_is(folder, tmp_path, monkeypatch):
    done = CliRunner().invoke(minilm, ["debug", "generate", "--model", str(folder)], input="n 2\nbranch\nn\n")
    lines = [line for line in done.output.splitlines() if line.startswith("(")]
    assert lines[0] == '(0:0 "Once upon a time") n 2'
    assert lines[1].startswith("(0:2 ")
    assert lines[1].endswith('") branch')
    assert lines[2].startswith("(1:2 ")


def test_back_and_on_again_shows_the_same_steps(debug):
    once, _, again = debug("continue 6", "b 6", "c 6")
    assert once == again


def test_every_row_of_the_table_is_in_the_help_and_every_name_is_one_commands(debug):
    (table,) = debug("help")
    names = [name for action in (*NAVIGATE, *INSPECT) for name in action.names]
    assert len(names) == len(set(names))
    assert all(name in table for name in (*names, "help", "quit"))
    assert debug("help back")[0].split()[:3] == ["back,", "b", "[N]"]


def test_no_line_of_the_help_is_cut_short(debug):
    for line in "\n".join(debug("help", "help break", "help stages")).splitlines():
        assert len(line) <= 100
        assert "…" not in line


def test_help_of_one_command_says_what_its_argument_may_be(debug):
    conditions, stages = debug("help break", "help stages")
    for name, (meaning, _) in NAMES.items():
        assert f"\n    {name} " in conditions
        assert meaning in conditions
    assert "repeats(n)" in conditions
    said = " ".join(stages.partition(": ")[2].split())
    assert parse(said) == parse(" ".join(EXAMPLES))
    assert "index" not in debug("help")[0]


def test_a_trace_of_another_model_says_whose_it_is(debug, tmp_path):
    lines = [json.loads(line) for line in _trace_lines(debug, tmp_path)]
    assert not debug("open run")[0].startswith("recorded")
    lines[0]["start"]["model"] = "another"
    (tmp_path / "other").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    (shown,) = debug("open other")
    assert shown.startswith("recorded with another, read again here by small, an LSTM in numpy\n")


def _trace_lines(debug, tmp_path):
    debug("n 2", "trace run")
    return (tmp_path / "run").read_text(encoding="utf-8").splitlines()


def test_a_quoted_word_is_watched_with_its_spaces(debug):
    (shown,) = debug("watch ' the little fox' \" fox\"")
    assert len(shown.split(" · ")) == 2
    assert debug('watch " fox"')[0].partition("watched: ")[2] == shown.split(" · ")[1]
    assert debug('watch "fox')[0] == 'refused: A quoted text is written like " the fox", got "fox'


def test_candidates_are_printed_a_line_each_as_a_step_shows_them(debug):
    _, whole, first = debug("n", "print decision.candidates", "print decision.candidates[0]")
    assert whole.splitlines()[0] == f"[0] {first}"
    assert [line.split()[0] for line in whole.splitlines()[:10]] == [f"[{n}]" for n in range(10)]
    assert "Candidate(" not in whole


def test_no_number_of_a_list_of_records_is_cut_off(debug):
    _, whole = debug("n", "print decision.stages")
    assert whole.count("cut=") == 2
    assert "…" not in whole
    assert max(map(len, whole.splitlines())) <= 100


def test_what_is_refused_is_one_line_and_the_session_goes_on(debug):
    commands = [
        "back 1",
        "n x",
        "force 999999",
        'force "a',
        "switch 3",
        "stages TopK(0)",
        "break entropie > 1",
    ]
    commands += ["force " + "1" * 5000, "watch " + "1" * 5000]
    commands += ["delete 1", "print", "print nothing", "show all", "open none", "nonsense", "branch loaded"]
    shown = debug(*commands, "n")
    assert all(part.count("\n") == 0 for part in shown[:-1]), shown
    assert all(part.startswith(("refused: ", "No command")) for part in shown[:-1])
    assert shown[-1].startswith("step 1 ")


def test_an_error_in_a_later_step_keeps_the_steps_before_it(debug):
    """Token 7 alone is left at every step, and may not come a second time."""
    _, ran, where = debug("stages Bias({7: 99.0}) TopK(1) NoRepeatNgram(1)", "n 3", "switch")
    assert ran.startswith("step 1 ")
    assert ran.splitlines()[-1].startswith("refused: Step 2 cannot be taken: ")
    assert where.startswith("* 0: 1 tokens, ")


def test_a_path_prints_any_field(debug):
    shown = debug(
        "n",
        "print decision.chosen.p_final",
        "print decision.candidates[0].rank",
        "print embedding.vector",
        "print cursor.ids[-1]",
        "print decision.stages.0.stage",
        "print decision.raw",
        "print reading.logits[0][3]",
    )
    assert 0 < float(shown[1]) < 1
    assert shown[2] == "1"
    assert shown[3].startswith("(8,) float32\n[")
    assert shown[4].isdecimal()
    assert shown[5] == '"Temperature(0.8)"'
    assert [line.split(" = ")[0] for line in shown[6].splitlines()] == ["entropy", "k_used", "mass_used"]
    float(shown[7])


@pytest.mark.parametrize(
    "path",
    ["cursor.secret", "cursor.model._arrays", "cursor.__class__", "cursor.peek", "a b", "x[", "ids[9]"],
)
def test_a_path_reaches_fields_alone(path):
    class Thing:
        secret = 1

    with pytest.raises(MinilmError):
        field_at({"cursor": Thing(), "ids": (1, 2), "x": {}}, path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("weight head.bias[1]", 5.0),
        ("weight.head.bias[-1]", 6.0),
        ("weight head[0]", 1.0),
        ("weight table[1, 0]", 9.0),
        ("weight table[1][0]", 9.0),
        ("weight.table.1.0", 9.0),
    ],
)
def test_a_path_finds_names_that_have_dots_and_places_in_one_bracket_or_several(path, value):
    weight = {"head": [1.0], "head.bias": [4.0, 5.0, 6.0], "table": [[7.0, 8.0], [9.0]]}
    assert field_at({"weight": weight}, path) == value


def test_any_value_is_shown_without_its_control_characters():
    assert shown("a\x1b[31m") == '"a\\x1b[31m"'


def test_a_forced_text_says_its_ids_and_what_it_changed(debug):
    one, _ = debug('force " there"', "print cursor.text")
    assert one.startswith("put in: ")
    two, _ = debug('prompt "once upon a ti"', 'force "me"')[1], None
    assert "splits the text before it differently now" in two
    assert "in the prompt" in two
    assert debug("force 7", "print decision.forced")[1] == "True"


def test_branches_are_listed_and_switched(debug):
    shown = debug("n 2", "branch", "n", "branch same", "switch", "switch 0", "n", "print branch")
    listed = shown[4].splitlines()
    assert [line[:3] for line in listed] == ["  0", "  1", "* 2"]
    assert "from branch 1 at token 3" in listed[2]
    assert shown[7] == "0"


def test_a_branch_with_the_same_dice_takes_the_same_step(debug):
    shown = debug("n 2", "branch same", "n", "switch 0", "n", "back", "branch", "n")
    assert shown[2] == shown[4] != shown[7]


def test_a_breakpoint_pauses_and_says_why(debug):
    listed, ran, _, gone = debug("break index == 3", "c", "delete 1", "break")
    assert listed == "1  index == 3"
    assert ran.endswith("breakpoint: index == 3")
    assert gone == ""
    assert debug("c", options=["--break", "index == 2"])[0].endswith("breakpoint: index == 2")


def test_a_watched_word_is_shown_outside_the_best_ones(debug):
    said, step, _, gone = debug("watch fox", "n", "unwatch", "watch")
    assert said == 'fox is 2 tokens; the first is meant: id 266 "fo"\nwatched: "fo" 266'
    assert ", watched" in step
    assert gone == "watched: nothing"


def test_a_saved_branch_opens_again_and_goes_on_with_the_same_tokens(debug, tmp_path):
    shown = debug(
        "n 2", "stages TopK(9)", "n 2", "branch", "n 2", "force 9", "trace run.jsonl", "c 4",
        "open run.jsonl", "c 4", "b 6", "c 1",
    )  # fmt: skip
    trace = read_trace(tmp_path / "run.jsonl")
    assert trace.end is not None
    assert [len(step.decision.stages) for step in trace.steps] == [2, 2, 1, 1, 1, 1, 1]
    assert [step.branch for step in trace.steps] == [0, 0, 0, 0, 1, 1, 1]
    assert [step.decision.forced for step in trace.steps] == [False] * 6 + [True]
    assert shown[8].endswith("7 steps, 1 of them forced")
    assert shown[9] == shown[7]
    assert shown[11].splitlines()[1].startswith("step 6 branch 1 ")


@pytest.mark.parametrize(
    ("options", "memory", "places"),
    [((), 10**8, 1000), ((), 3, 3), ((), 0.5, 1), (("--window", "7"), 3, 7)],
)
def test_the_logits_of_the_places_kept_are_bounded(options, memory, places, folder, debug, monkeypatch):
    """memory: room for the logits of so many places."""
    windows = []

    def opened(cursor, window):
        windows.append(window)
        return open_session(cursor, window)

    size = 4 * backends.load(folder).vocab_size
    monkeypatch.setattr("minilm.cli.debug.generate.LOGITS_BYTES", int(memory * size))
    monkeypatch.setattr("minilm.cli.debug.generate.open_session", opened)
    assert debug("n 5", "back 4", options=options)[1] == ""
    assert windows == [places]


def test_show_full_has_the_ledger(debug):
    assert "survivors" not in debug("n")[0]
    assert "survivors" in debug("show full", "n")[1]


def test_the_end_of_a_text_is_in_the_prompt_and_refuses_what_follows(folder):
    words = ["debug", "generate", "--model", str(folder), "--max-tokens", "2"]
    done = CliRunner().invoke(minilm, words, input="c\nn\nb\nn\nquit\nn\n")
    prompts = [line for line in done.output.splitlines() if line.startswith("(")]
    assert [line[:12] for line in prompts[1:3]] == ["(0:2 length "] * 2
    assert len(prompts) == 5
    assert done.output.count("refused: The text has ended (length)") == 1


def test_presets_and_dialects_order_the_stages(debug, folder):
    assert debug("stages", options=["--preset", "creative"])[0] == "stages: Temperature(1.1) TopP(0.95)"
    given = ["--temperature", "0.5", "--top-p", "0.9", "--dialect", "llama.cpp"]
    assert debug("stages", options=given)[0] == "stages: TopP(0.9) Temperature(0.5)"
    for wrong in (["--preset", "greedy", "--greedy"], ["--preset", "greedy", "--stages", "TopK(3)"]):
        done = CliRunner().invoke(minilm, ["generate", "--model", str(folder), *wrong])
        assert "got both" in str(done.exception)


def test_generate_stops_where_a_breakpoint_holds_and_says_why(folder):
    words = ["generate", "--model", str(folder), "--max-tokens", "9", "--json", "--break", "index == 3"]
    done = CliRunner().invoke(minilm, words)
    assert done.exit_code == 0
    assert done.stderr == "stopped after token 3: index == 3\n"
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 5
    assert (lines[-1]["end"]["steps"], lines[-1]["end"]["finish"]) == (3, None)


@pytest.mark.parametrize("look", [["--show", "text"], ["--show", "brief"], ["--live"], ["--json"]])
def test_generate_keeps_no_step_that_it_has_shown(look, folder, monkeypatch):
    alive = []

    def count(_seconds):
        gc.collect()
        alive.append(sum(type(one) is Step for one in gc.get_objects()))

    monkeypatch.setattr("minilm.cli.generate.time.sleep", count)  # called after every step
    words = ["generate", "--model", str(folder), "--max-tokens", "20", *look]
    assert CliRunner().invoke(minilm, words).exit_code == 0
    assert alive[-1] <= alive[3]


def test_an_instruct_model_without_its_template_is_told_so(folder, monkeypatch):
    words = ["generate", "--model", str(folder), "--max-tokens", "1", "--show", "text"]
    assert "instruct" not in CliRunner().invoke(minilm, words).stderr
    monkeypatch.setattr(tokenizer.Tokenizer, "chat", lambda self, messages: self.encode("a", special=True))
    for command in (words, ["debug", "generate", "--model", str(folder)]):
        said = CliRunner().invoke(minilm, command).stderr
        assert "instruct model run without its chat template" in said
        assert said.count("\n") == 1
    assert "instruct" not in CliRunner().invoke(minilm, [*words, "--chat"]).stderr


def test_no_control_character_of_a_token_reaches_the_terminal(debug):
    escape = 4 + 0x1B
    for part in debug(f"stages Bias({{{escape}: 99.0}})", "c 2", "print cursor.text", "peek", "switch"):
        assert "\x1b" not in part
    assert "\\x1b\\x1b" in debug(f"stages Bias({{{escape}: 99.0}})", "c 2")[1]


def test_a_condition_s_name_prints_its_value_without_a_path(debug):
    shown = debug("n", "print margin", "print decision.margin", "print entropy", "print decision.raw.entropy")
    assert shown[1] == shown[2]
    assert shown[3] == shown[4]


def test_margins_are_those_that_the_recorded_step_has(debug, folder):
    """Oracle: what minilm trace show works out for the same step from the stored logits."""
    shown = debug("n 2", "margins")[1]
    words = ["generate", "--model", str(folder), "--max-tokens", "2", "--trace", "run", "--logits"]
    assert CliRunner().invoke(minilm, words).exit_code == 0
    recorded = CliRunner().invoke(minilm, ["trace", "show", "run", "--margins"]).output
    assert "nearest logit" in shown
    assert shown in recorded.rpartition("step 2")[2]


def test_margins_need_a_step_that_a_draw_took(debug):
    shown = debug("margins", 'force "a"', "margins")
    assert shown[0] == "refused: No step has been taken yet"
    assert shown[2].startswith("refused: The last token was forced")


def test_the_tokens_that_a_constraint_allows_are_listed_by_bytes_and_canonical(debug):
    """A choice of two texts by hand: what begins one of them fits, what the tokenizer writes is canonical."""
    pytest.importorskip("llguidance")
    nothing, _, both, _, ended = debug(
        "allowed", 'stages Choice(["fox"]) Greedy()', "allowed", "c", "allowed"
    )
    assert nothing.startswith("refused: No stage is a constraint")
    head, canonical, fits = both.splitlines()
    counts = [int(number) for number in re.findall(r"\d+(?= tokens fit| of them)", head)]
    listed = [re.findall(r'"([^"]*)" \d+', line) for line in (canonical, fits)]
    assert [len(listed[0]) + len(listed[1]), len(listed[0])] == counts
    assert all("fox".startswith(text.lstrip(" ")) for line in listed for text in line)
    assert ended.startswith("refused: The text has ended (constraint)")
