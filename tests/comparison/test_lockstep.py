"""Two models in lockstep: their numbers, where the texts differ, and if rounding explains it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import tokenizer
from minilm.backends import create
from minilm.cli.twin import command
from minilm.comparison import compare_texts, judge_lockstep, run_lockstep
from minilm.errors import MinilmError
from minilm.faces.comparison import lockstep_sentences, lockstep_table
from minilm.records import ModelConfig, Reading
from minilm.storage.model_folder import write_model

STAGES = "Temperature(0.8) TopK(20)"


@pytest.fixture(scope="module")
def codec():
    return tokenizer.train(lines=["abc abd bcd", "dab cab bad"], vocab_size=270)


@pytest.fixture(scope="module")
def config(codec):
    return ModelConfig(codec.vocab_size, 8, 12, seed=2)


class Shifted:
    """A model whose logits are another's with something added to some of them."""

    def __init__(self, model, change):
        self.model, self.change = model, change

    def __getattr__(self, name):
        return getattr(self.model, name)

    def read(self, ids, state=None, **more):
        reading = self.model.read(ids, state, **more)
        logits = np.array(reading.logits)
        logits[-1] += self.change
        return Reading(logits, reading.embeddings, reading.state)


def test_the_numbers_are_those_of_the_two_rows_of_logits(codec, config):
    torch = pytest.importorskip("torch")
    models = [create("numpy", config), create("numpy", ModelConfig(codec.vocab_size, 8, 12, seed=3))]
    ids = codec.encode("abc", special=True)
    for step in run_lockstep(models, codec, "abc", STAGES, 1, max_tokens=6):
        rows = [model.read(ids).logits[-1].astype(np.float64) for model in models]
        assert step.apart == pytest.approx(np.abs(rows[0] - rows[1]).max(), abs=1e-5)
        assert step.at == np.abs(rows[0] - rows[1]).argmax()
        p, q = (torch.log_softmax(torch.tensor(row), 0) for row in rows)
        kl = torch.nn.functional.kl_div(q, p, reduction="sum", log_target=True)
        assert step.kl == pytest.approx(float(kl), abs=1e-6)
        assert step.position == len(ids) - 1
        ids.append(step.ids[0])


def test_the_first_choice_that_differs_is_where_free_runs_differ(codec, config):
    models = [create("numpy", config), create("numpy", config)]
    arrays = {name: np.array(array) for name, array in models[1].weights().items()}
    arrays["embedding"][codec.encode("b")[-1]] += 0.5
    models[1].restore(arrays)
    for seed in range(6):
        steps = list(run_lockstep(models, codec, "ab", STAGES, seed, max_tokens=20, eos_ids=[]))
        (free,) = compare_texts(models, codec, "ab", STAGES, seed, max_tokens=len(steps))
        first = judge_lockstep(steps).first
        assert (None if first is None else first.index) == free.parts_at


def test_a_run_ends_where_the_second_context_is_full(codec, config):
    """What was compared until then is kept, and nothing is read beyond it."""
    short = Shifted(create("numpy", config), 0.0)
    short.context_size = 6
    size = len(codec.encode("ab", special=True))
    steps = list(run_lockstep([create("numpy", config), short], codec, "ab", STAGES, 1, eos_ids=[]))
    assert [step.position for step in steps] == list(range(size - 1, 6))


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_frameworks_of_equal_weights_agree_within_rounding(codec, config, backend):
    pytest.importorskip(backend)
    steps = list(run_lockstep([create("numpy", config), create(backend, config)], codec, "ab", STAGES, 4))
    verdict = judge_lockstep(steps, ("numpy", backend))
    assert verdict.equal
    assert 0 < verdict.apart < 1e-5


def test_before_and_after_a_training_step_differ_and_say_so(codec, config):
    models = [create("numpy", config), create("numpy", config)]
    ids = np.array([codec.encode("abc abd", special=True)])
    batch = ids[:, :-1], ids[:, 1:], np.ones(ids[:, 1:].shape)
    for _ in range(5):
        models[1].update(models[1].gradients(*batch), 0.1)
    verdict = judge_lockstep(list(run_lockstep(models, codec, "ab", STAGES, 0, max_tokens=20)))
    assert verdict.agreement < 1
    assert not verdict.equal
    assert "rounding does not explain it" in lockstep_sentences(verdict)


@pytest.mark.parametrize("stages", [STAGES, "Greedy()", "Temperature(2.0) TopP(0.9) Greedy()"])
def test_a_token_that_flips_by_rounding_is_explained_by_its_margin(codec, config, stages):
    """Planted: for greedy a tie, else an end of the interval moved just past the draw."""
    model = create("numpy", config)
    prompt = codec.encode("ab", special=True)
    row = model.read(prompt).logits[-1].astype(np.float64)
    best, second = np.argsort(-row)[:2]
    tie = np.zeros(row.size)
    tie[second] = row[best] - row[second]
    models = [Shifted(model, tie), Shifted(model, tie * (1 + 4e-6 / tie[second]))]
    if "Greedy" in stages:
        tie_steps = list(run_lockstep(models, codec, prompt, stages, 0, max_tokens=1))
        verdict = judge_lockstep(tie_steps)
        assert verdict.first is not None
        assert verdict.explained
        assert "rounding explains it" in lockstep_sentences(verdict)
        return
    step = next(run_lockstep([model, model], codec, prompt, stages, 0, max_tokens=1))
    changed = np.zeros(row.size)
    sizes = np.logspace(-7, 0, 400)
    flips = 0
    for size in (*sizes, *-sizes):
        changed[step.ids[0]] = size
        steps = list(run_lockstep([model, Shifted(model, changed)], codec, prompt, stages, 0, max_tokens=1))
        verdict = judge_lockstep(steps, tolerance=abs(size) * 1.5)
        flips += verdict.first is not None
        assert verdict.equal
        assert verdict.first is None or verdict.first.margin <= verdict.first.reach
    assert flips


def test_other_dice_are_not_explained_by_rounding(codec, config, monkeypatch):
    """A planted fault: equal logits, yet the second throws dice of its own."""
    from minilm.generation import cursor

    honest, calls = cursor.draw, []

    def planted(seed, position, branch=0):
        calls.append(position)
        return honest(seed + len(calls) % 2, position, branch)

    monkeypatch.setattr(cursor, "draw", planted)
    models = [create("numpy", config), create("numpy", config)]
    verdict = judge_lockstep(list(run_lockstep(models, codec, "ab", STAGES, 0, max_tokens=9)))
    assert verdict.apart == 0
    assert verdict.first is not None
    assert not verdict.equal


def test_removed_logits_and_vocabularies_that_differ(codec, config):
    model = create("numpy", config)
    gone = np.zeros(config.vocab_size)
    gone[7] = -np.inf
    for pair, kl in (((gone, gone), 0.0), ((0 * gone[0], gone), np.inf), ((gone, 0 * gone[0]), None)):
        models = [Shifted(model, change) for change in pair]
        step = next(run_lockstep(models, codec, "ab", STAGES, 0))
        assert kl is None or step.kl == kl
        assert step.apart == (0 if kl == 0 else np.inf)
    with pytest.raises(MinilmError, match=f"sizes {config.vocab_size} and 9"):
        next(run_lockstep([model, create("numpy", ModelConfig(9))], codec, "ab"))
    with pytest.raises(MinilmError, match="no steps"):
        judge_lockstep([])


def test_the_command_exits_by_the_verdict(codec, config, tmp_path):
    for name, seed in (("one", 1), ("two", 2)):
        fresh = create("numpy", ModelConfig(codec.vocab_size, 8, 12, seed=seed))
        write_model(tmp_path / name, fresh.config, fresh.weights(), codec.model_bytes)
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    same = CliRunner().invoke(command, [one, "--max-tokens", "5"])
    assert same.exit_code == 0, same.output
    assert same.output.rstrip().endswith("the texts are the same")
    parted = CliRunner().invoke(command, [one, two, "--max-tokens", "9", "--json"])
    assert parted.exit_code == 1
    lines = [json.loads(line) for line in parted.output.splitlines()]
    assert lines[-1]["verdict"]["first"]["index"] == next(
        line["twin"]["index"] for line in lines if not line["twin"]["agree"]
    )
    for wrong in (["--backends", "numpy"], ["--max-tokens", "0"], ["--tolerance", "0"], [one, one]):
        done = CliRunner().invoke(command, [one, two, *wrong])
        assert isinstance(done.exception, MinilmError)


def test_the_table_fits_a_terminal(codec, config):
    models = [create("numpy", config), create("numpy", ModelConfig(codec.vocab_size, 8, 12, seed=3))]
    steps = list(run_lockstep(models, codec, "ab", STAGES, 0, max_tokens=8))
    text = f"{lockstep_table(steps)}\n{lockstep_sentences(judge_lockstep(steps))}"
    assert max(map(len, text.splitlines())) <= 100
