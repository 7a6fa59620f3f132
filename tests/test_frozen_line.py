"""A record's repr is one line: walked over all that a small run of every loop gives, and what they hold."""

import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, make_dataclass
from itertools import chain

import numpy as np
import pytest

from minilm import backends, doctor, inside
from minilm.bench.workloads import FakeCodec
from minilm.comparison.backends import train_side_by_side
from minilm.comparison.defaults import small_net
from minilm.comparison.defaults.ladder import LadderStep
from minilm.comparison.lockstep import judge_lockstep, run_lockstep
from minilm.comparison.prepare import Comparison
from minilm.comparison.student.contract import Answers
from minilm.comparison.training import follow_prompt, measure_update, visit_steps
from minilm.doctor.museum import list_exhibits, open_exhibit
from minilm.doctor.run import WatchedRun
from minilm.frozen import one_line
from minilm.generation import start
from minilm.generation.score import TokenScore, score
from minilm.generation.session import open_session
from minilm.records import Candidate, ModelConfig, Reading
from minilm.sampling.constraints.matcher import State
from minilm.sampling.scores import Scores
from minilm.sampling.sensitivity import find_truncations
from minilm.sampling.stage import run_stages
from minilm.trace import TraceWriter
from minilm.trace.logits import logits_path
from minilm.trace.replay import open_recording
from minilm.trace.sweep import draw_map
from minilm.training.batches import Batches
from minilm.training.checkpoint import newest, save_checkpoint
from minilm.training.corpus import from_storyland
from minilm.training.fit import Schedule
from minilm.training.storyland.stories import stories
from minilm.training.timeline.branch_diff import branch_steps, weight_differences
from minilm.training.timeline.gates import gate_moment
from minilm.training.timeline.timeline import Timeline
from minilm.training.timeline.token_losses import batch_rows, facts_of

CONFIG = ModelConfig(40, 8, 32, layers=2, seed=1)
CODEC = FakeCodec(40)
IDS = list(range(2, 32))
BATCHES = Batches([np.random.default_rng(n).integers(4, 40, 300) for n in range(40)], 6, 40)
ROOMS = ("sampling", "inside", "generation", "training", "doctor", "comparison")
SPELT_OUT = (Candidate, TokenScore)  # one line too, but every number of every candidate is written in it


def model():
    return backends.create("numpy", CONFIG)


def looks():
    lstm = model()
    reading = inside.read_inner(lstm, IDS, "gates", "cell", "hidden")
    yield from (reading, inside.measure_gates(reading, 1), inside.split_over_tokens(lstm, reading, 7, 9))
    yield from (
        inside.split_over_units(lstm, reading, 7),
        *inside.find_neighbours(lstm, 7),
        gate_moment(lstm, IDS),
    )
    shown = np.random.default_rng(0).normal(size=(2, 30, 30))
    layers = {"attention.0": shown, "logit_lens.0": shown[0], "hidden.0": shown[1]}
    other = Reading(shown[0], shown[1], None, layers)
    yield from (*inside.measure_attention(other, 0), *inside.apply_lens(other))


def training(folder):
    trunk = Timeline(model(), BATCHES, Schedule(1e-2, 12)).jump(3)
    branch = trunk.back(2).with_rate(0.5).with_batch(9).jump(3)
    yield from (BATCHES, BATCHES.batch(0), trunk.plan, branch.plan, trunk.step, trunk.gradients())
    yield from (*branch_steps(trunk, branch), *weight_differences(trunk, branch).values())
    yield from chain(*batch_rows(trunk.step, CODEC), facts_of(trunk.updates()).values())
    yield from follow_prompt(visit_steps(trunk, [0, 3]), CODEC, " w5 w9 w7")
    yield measure_update(trunk, CODEC, " w5 w9 w7")
    save_checkpoint(folder, trunk.model, 3, 99, {"seed": 0}, b"a tokenizer" * 999)
    yield from (newest(folder), from_storyland(20, held_out=5), *stories(0, 3))


def generation(folder):
    cursor = start(model(), CODEC, " w5", "Temperature(0.8) TopK(9)", max_tokens=3)
    yield from (cursor, cursor.context, Scores.of(cursor.reading.logits[-1]), *cursor.steps())
    yield from find_truncations(
        run_stages(cursor.reading.logits[-1], cursor.context, cursor.settings.stages), cursor.settings.stages
    )
    path = folder / "run.jsonl"
    with (
        path.open("w") as file,
        logits_path(path).open("wb") as rows,
        TraceWriter(file, cursor, rows) as trace,
    ):
        for place in cursor.cursors():
            trace.step(place.peek(), place.reading.logits[-1])
    recording = open_recording(path)
    yield from (recording, draw_map(recording, 0, "Temperature", [0.5, 1.0]), *recording.replay())
    yield from (open_session(cursor), *score(model(), CODEC, " w5 w7"))
    yield State(np.ones(40, bool), 40, True, "")


def others():
    with doctor.attach(model()) as (watched, watching):
        for step in range(3):
            batch = BATCHES.batch(step)
            watched.update(watched.gradients(batch.inputs, batch.targets, batch.mask), 1e-2)
    recorded = list(open_exhibit("saturated_gates"))
    yield from (
        *watching.records,
        *recorded,
        WatchedRun.of(recorded),
        *doctor.examine(recorded),
        *list_exhibits(),
    )
    yield from train_side_by_side([model(), model()], [BATCHES.batch(0)])
    weights = model().snapshot()
    yield Comparison([model(), model()], CODEC, BATCHES, 3, 1e-3, 1.0, 0, CONFIG, weights)
    yield Answers({"rows": {"h": np.zeros((2, 3, 4))}}, notes=["a note"])
    yield LadderStep("defaults", False, np.linspace(0, 1, 200), 0.1)
    yield small_net.Slices(0.5, np.zeros((7, 3)), np.zeros((7, 3, 5)), {"bias": np.zeros(24)})
    twins = list(run_lockstep([model(), model()], CODEC, " w5", max_tokens=3))
    yield from (*twins, judge_lockstep(twins))


def held(value):
    """The records in a value: itself, and those in its fields, its sequences and its mappings."""
    if is_dataclass(value):
        yield value
        yield from chain.from_iterable(held(getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(held, value.values()))
    elif isinstance(value, tuple | list):
        yield from chain.from_iterable(map(held, value))


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    return [
        record
        for value in chain(looks(), generation(folder), training(folder), others())
        for record in held(value)
    ]


def test_every_record_is_one_line_of_at_most_200_characters(samples):
    wrong = {}
    for record in samples:
        line = repr(record)
        if "\n" in line or (len(line) > 200 and not isinstance(record, SPELT_OUT)):
            wrong[type(record).__name__] = line
    assert not wrong


def test_no_record_that_holds_an_array_is_left_out_of_the_walk(samples):
    seen = {type(record).__name__ for record in samples}
    assert {kind.__name__ for kind in holding_arrays()} <= seen


def holding_arrays():
    """The public dataclasses with a field of arrays, in the rooms that need no framework to be opened."""
    for room in ROOMS:
        package = importlib.import_module(f"minilm.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not re.search("torch|tensorflow", module.name):
                found = vars(importlib.import_module(module.name)).values()
                yield from (kind for kind in found if _holds_an_array(kind, package.__name__))


def _holds_an_array(kind, package):
    if not (isinstance(kind, type) and is_dataclass(kind) and kind.__module__.startswith(package)):
        return False
    types = [str(field.type) for field in fields(kind)]
    return not kind.__name__.startswith("_") and any("Array" in t and "Callable" not in t for t in types)


def test_the_line_gives_shapes_numbers_and_counts_and_is_cut_where_it_is_long():
    batch = BATCHES.batch(0)
    assert repr(batch) == "Batch(inputs (6, 40), targets (6, 40), mask (6, 40))"
    assert repr(LadderStep("defaults", False, np.zeros(9), 1 / 3)) == (
        "LadderStep(label 'defaults', left_out False, apart (9,), weights 0.3333)"
    )
    numbers = make_dataclass("Numbers", ["id", "share", "sure"])(np.int64(7), np.float32(0.25), np.True_)
    assert one_line(numbers) == "Numbers(id 7, share 0.25, sure True)"
    names = tuple(f"a name that is long {n}" for n in range(30))
    wide = make_dataclass("Wide", [f"field_{n}" for n in range(30)])(*names)
    line = one_line(wide)
    assert (len(line), line[-2:]) == (200, "…)")
    assert line.startswith("Wide(field_0 'a name that is long 0', field_1 ")


def test_what_stands_at_its_default_is_left_out_and_a_line_break_is_written_out():
    seen = doctor.Observation(2, 0.5, 24, "a\nb", {"bias": 1.0}, {"bias": 1.0})
    assert repr(seen) == (
        "Observation(step 2, loss 0.5, vocab_size 24, batch 'a\\nb', raw 1 entry, used 1 entry)"
    )
