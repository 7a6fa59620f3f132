"""Bench: a figure is a median of ratios, a bar has a direction, and a plain loop does what it says."""

import json
import time

import pytest
from click.testing import CliRunner

from minilm.bench import BENCHES, run
from minilm.bench.measure import Figure, in_turns, seconds
from minilm.bench.workloads import FakeCodec
from minilm.cli.bench import command
from minilm.errors import MinilmError
from minilm.protocols import TextCodec


def test_twice_as_fast_is_a_ratio_of_two():
    figure = in_turns("a", lambda: time.sleep(0.01), lambda: time.sleep(0.02), 5, bar=1.5)
    assert figure.figure == pytest.approx(2, rel=0.25)
    assert figure.low <= figure.figure <= figure.high
    assert figure.met


def test_times_as_long_is_the_other_ratio():
    figure = in_turns("a", lambda: time.sleep(0.02), lambda: time.sleep(0.01), 5, bar=1.5, at_least=False)
    assert figure.figure == pytest.approx(2, rel=0.25)
    assert not figure.met


def test_the_two_sides_run_in_turns_after_one_unmeasured_round():
    order = []
    in_turns("a", lambda: order.append("A"), lambda: order.append("B"), 3, bar=None)
    assert "".join(order) == "AB" * 4


def test_a_figure_is_the_median_so_one_slow_run_does_not_count():
    times = iter([0.1, 9.0, 0.1])
    figure = seconds("a", lambda: next(times), 3, bar=0.2)
    assert (figure.figure, figure.high, figure.met) == (0.1, 9.0, True)


@pytest.mark.parametrize(("bar", "at_least", "met"), [(2, True, True), (2, False, True), (2.1, True, False)])
def test_a_bar_is_met_at_its_own_value(bar, at_least, met):
    assert Figure("a", 2.0, 2.0, 2.0, 1, bar, at_least).met is met


def test_a_figure_without_a_bar_is_only_reported():
    assert Figure("a", 2.0, 2.0, 2.0, 1, None).met is None


def test_an_unknown_bench_names_the_known_ones():
    with pytest.raises(MinilmError, match="imports, streaming-torch"):
        list(run(["nothing"]))


def test_words_is_a_codec_and_its_text_comes_back():
    codec = FakeCodec(64)
    assert isinstance(codec, TextCodec)
    assert codec.decode(codec.encode(" w17 w4")) == " w17 w4"


def test_the_command_prints_json_lines():
    result = CliRunner().invoke(command, ["--quick", "--only", "imports", "--json"])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["name"] for row in rows] == ["import minilm", "minilm --help"]
    assert all(row["figure"] > 0 and row["bar"] > 0 for row in rows)


def test_the_plain_debug_loop_reads_the_whole_prompt_and_prints_every_embedding():
    torch = pytest.importorskip("torch")
    from minilm.bench.torch import PlainNet, debug_loop

    seen = []

    class Watched(PlainNet):
        def forward(self, ids, state=None):
            seen.append(ids.shape[1])
            return super().forward(ids, state)

    with torch.random.fork_rng():
        printed = debug_loop(Watched(512).eval(), FakeCodec(512), 5)
    assert seen == [9, 1, 1, 1, 1]
    assert printed.count("embedding vector: [") == 5


@pytest.mark.slow
def test_every_bench_whose_framework_is_here_gives_figures():
    pytest.importorskip("torch", reason="torch is not installed, and a step in NumPy is measured against it")
    names = ["training-numpy", "tokenizer"]
    figures = list(run(names, quick=True))
    assert len(figures) >= len(names)
    assert all(0 < figure.low <= figure.figure <= figure.high for figure in figures)
    assert set(names) <= set(BENCHES)
