"""What a stranger types wrongly is one line that says what to do; so is a stream that cannot be written."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from minilm import builtin
from minilm.cli import command as minilm
from minilm.cli import main
from minilm.errors import MinilmError

MAIN = [sys.executable, "-c", "import sys; sys.argv[0] = 'minilm'; from minilm.cli import main; main()"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["generate", "--delay", "nan"], "--delay must be 0 to 3600 seconds, got nan"),
        (["generate", "--delay", "inf"], "--delay must be 0 to 3600 seconds, got inf"),
        (["generate", "--trace", ""], "--trace takes the name of a new file, got ''"),
        (["generate", "--trace", "", "--logits"], "--trace takes the name of a new file, got ''"),
        (["generate", "--watch", ""], "--watch takes a word, got ''"),
        (["generate", "--model", ""], "A model is a folder, hf:PATH_OR_ID or builtin:NAME, got ''"),
        (["score", "a", "--model", "hf:"], "A model is a folder, hf:PATH_OR_ID or builtin:NAME, got 'hf:'"),
        (["score", "a", "--summary", "--plot", "a.png"], "keeps no tokens, so there is nothing to --plot"),
        (["debug", "generate", "--script", "."], "The script . cannot be read: Is a directory"),
        (["debug", "generate", "--script", "raw"], "The script raw is no UTF-8 text: byte 1 is damaged"),
        (["generate", "--json-schema", "raw"], "--json-schema raw is no UTF-8 text: byte 1 is damaged"),
        (["generate", "--json-schema", "none"], "--json-schema none cannot be read: No such file"),
        (["generate", "--json-schema", os.devnull], "is no JSON: Expecting value: line 1 column 1"),
        (["generate", "--grammar", os.devnull], "Grammar must be given a text that is not empty"),
        (["generate", "--grammar", "."], "--grammar . cannot be read: Is a directory"),
        (["trace", "html", "run", "--most", "-3"], "--most must be 0 or more steps, got -3"),
        (
            ["trace", "diff", "run", "run", "--tolerance", "nan"],
            "--tolerance must be a number from 0, got nan",
        ),
        (["trace", "diff", "run", "run", "--tolerance", "-1"], "--tolerance must be a number from 0, got -1"),
        (["inside", "gates", "--layer", "-1"], "Layers are numbered 0 to 0, got -1"),
    ],
)
def test_wrong_use_is_one_line(line, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("raw").write_bytes(b"n\xff")
    done = CliRunner().invoke(minilm, line)
    assert isinstance(done.exception, MinilmError), repr(done.exception)
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert [file.name for file in tmp_path.iterdir()] == ["raw"]


def test_a_script_may_begin_with_a_byte_order_mark(tmp_path):
    script = tmp_path / "script"
    script.write_bytes(b"\xef\xbb\xbfnext\r\nquit\r\n")
    done = CliRunner().invoke(minilm, ["debug", "generate", "--script", str(script)])
    assert "\nstep 1  read " in done.output
    assert "No command" not in done.output


def test_a_summary_may_be_a_json_line():
    done = CliRunner().invoke(minilm, ["score", "Once upon a time", "--summary", "--json"])
    whole = CliRunner().invoke(minilm, ["score", "Once upon a time", "--json"])
    (line,) = done.stdout.splitlines()
    assert json.loads(line) == json.loads(whole.stdout.splitlines()[-1])


def test_a_word_of_several_tokens_is_said_to_be_looked_at_by_its_first():
    done = CliRunner().invoke(minilm, ["inside", "units", "--token", "dragonfly"])
    assert done.stderr == 'dragonfly is 3 tokens; the first is meant: id 679 " dragon"\n'
    assert CliRunner().invoke(minilm, ["inside", "units", "--token", " dragon"]).stderr == ""


def test_a_closed_output_does_not_keep_the_trace_from_being_written(tmp_path):
    words = ["generate", "--max-tokens", "2", "--trace", str(tmp_path / "run")]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *MAIN, *words], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len((tmp_path / "run").read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here is always full")
@pytest.mark.parametrize("words", [["generate", "--max-tokens", "1"], ["stages"]], ids=" ".join)
def test_a_full_disk_is_one_line(words):
    """Standard output has a buffer here, so that the end of a short text is written last of all."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*MAIN, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment
        )
    assert done.returncode == 2
    assert done.stderr == "minilm: The system refuses to read or write: No space left on device\n"


def test_an_empty_prompt_is_what_begins_every_text(tmp_path):
    """For a codec that begins with <BOS>; in the debugger too."""
    done = CliRunner().invoke(minilm, ["generate", "--prompt", "", "--max-tokens", "1"])
    assert "\nprompt  1 token: <BOS> 2\n" in done.stdout
    stepped = CliRunner().invoke(minilm, ["debug", "generate"], input='prompt ""\nn\n').stdout
    assert "\nstep 1  read <BOS> id 2 " in stepped


@pytest.mark.parametrize("group", [[], ["trace"], ["debug"], ["inside"]])
def test_a_group_without_a_command_shows_its_help_line_by_line(group):
    said = ran(*group)
    assert said.returncode == 2
    assert said.stdout == ""
    help_page = CliRunner().invoke(minilm, [*group, "--help"], prog_name="minilm").stdout
    assert said.stderr.split() == help_page.split()
    assert "\n\nOptions:\n  " in said.stderr


def test_nothing_that_was_typed_reaches_the_terminal_raw():
    said = ran("trace", "show", "a\x1b[31m\nb")
    assert said.stderr == "minilm: Trace a\\x1b[31m\\nb cannot be read: No such file or directory\n"
    assert "\x1b" not in ran("\x1b[31m").stderr


@pytest.mark.parametrize("named", ["run", "run/model"])
def test_the_folder_of_a_training_opens_as_its_model(tmp_path, named):
    shutil.copytree(builtin.folder(), tmp_path / "run" / "model")
    opened = CliRunner().invoke(minilm, ["generate", "--model", str(tmp_path / named), "--max-tokens", "1"])
    assert opened.exit_code == 0


def ran(*words):
    return subprocess.run([*MAIN, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("generat", "Did you mean generate?"),
        ("generate --temperature 0,8", "write 0.8, with a point"),
        ("generate --temperature hot", "give a number such as 0.8"),
        ("generate --model gpt2", "for a model of Hugging Face: --model hf:gpt2"),
        ("generate --backend pytorch", "PyTorch is called torch here: --backend torch"),
        ("train --out x --backend pytorch", "PyTorch is called torch here: --backend torch"),
        ("generate --stages Greedy", "write Greedy()"),
        ("generate --stages 'Temperature 0.8'", "write Temperature(0.8)"),
        ("generate 'Once upon a time'", 'put the prompt in quotes: --prompt "Once upon a time"'),
        ("generate --prompt Once upon a time", 'put the prompt in quotes: --prompt "Once upon a time"'),
        ("compare my_lstm.py", "minilm compare reference my_lstm.py"),
        ("compare torch tensorflow", "to compare frameworks: minilm compare"),
        ("trace show book.txt", "it is no trace; make one with: minilm generate --trace run.jsonl"),
    ],
)
def test_a_common_mistake_is_answered_with_the_line_to_type(line, advice, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("Once upon a time\n")
    Path("my_lstm.py").write_text("")
    monkeypatch.setattr("sys.argv", ["minilm", *shlex.split(line)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert advice in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("words", [["inside", "gates"], ["score", "a"], ["trace", "sweep", "run"]])
def test_another_ending_of_a_picture_is_refused_before_any_work(words):
    done = CliRunner().invoke(minilm, [*words, "--plot", "x.pdf"])
    assert str(done.exception).startswith("a picture is saved as .png or .svg, got 'x.pdf'")
    assert done.output == ""


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_closed_streams_and_a_wrong_backend_of_matplotlib_are_no_traceback(tmp_path):
    minilm_ = f"{shlex.quote(sys.executable)} -m minilm"
    for line, code in (
        ("stages 2>&-", 0),
        ("score a 2>&-", 0),
        ("debug generate --max-tokens 1 <&-", 0),
        ("score a --plot x.png", 2),
    ):
        done = subprocess.run(
            f"{minilm_} {line}",
            shell=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "MPLBACKEND": "nonsense", "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert done.returncode == code, (line, done.stderr)
        assert "Traceback" not in done.stderr
    assert "unset the variable MPLBACKEND" in done.stderr
