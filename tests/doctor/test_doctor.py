"""The checks on records, the probes, our own loop in every backend, the records on disk, the museum."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record import record
from toy_rows import PAD, toy_rows

from minilm import backends, doctor
from minilm.doctor import museum
from minilm.doctor.batch import measure_saturation, measure_step
from minilm.errors import MinilmError
from minilm.numerics import log_softmax, softmax
from minilm.records import ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule, fit
from minilm.workflows.prepare import TrainingRequest, prepare

NAMES = [check.__name__ for check, _ in doctor.CHECKS]


def fitted(backend, steps=200, rate=1e-2):
    """Our own loop, watched: the doctor's findings."""
    documents = [row[: np.count_nonzero(row != PAD)] for step in range(30) for row in toy_rows(step)]
    model = backends.create(backend, ModelConfig(24, 16, 24, dropout=0.1))
    with doctor.attach(model) as (watched, watching):
        losses = [step.loss for step in fit(watched, Batches(documents, 8, 10), Schedule(rate, steps))]
    return watching, losses


@pytest.mark.parametrize("backend", backends.available())
def test_our_own_loop_gives_no_finding(backend):
    watching, _ = fitted(backend)
    assert (watching.findings(), watching.steps) == ([], 200)


@pytest.mark.slow
@pytest.mark.parametrize("backend", backends.available())
def test_nothing_is_found_in_the_first_300_steps_of_the_default_training(backend):
    prepared = prepare(TrainingRequest(backend=backend))
    with pytest.raises(doctor.Enough), doctor.attach(prepared.model, limit=300) as (watched, watching):
        for _ in fit(watched, prepared.batches, prepared.schedule, clip=prepared.clip):
            pass
    assert (watching.findings(), watching.steps) == ([], 300)


def test_gates_that_a_rate_of_1_has_shut_are_laid_to_the_updates():
    (finding,) = fitted("numpy", 40, 1.0)[0].findings()
    assert (finding.name, finding.step) == ("saturated_gates", 25)
    assert "updates are too large" in finding.cause


def test_a_watched_model_trains_as_an_unwatched_one():
    documents = [row[: np.count_nonzero(row != PAD)] for step in range(30) for row in toy_rows(step)]
    model = backends.create("numpy", ModelConfig(24, 16, 24, dropout=0.1))
    plain = [step.loss for step in fit(model, Batches(documents, 8, 10), Schedule(1e-2, 30))]
    assert fitted("numpy", 30)[1] == plain


@given(st.integers(0, 10**6), st.floats(0.1, 5))
def test_the_gradient_at_the_logits_names_targets_weights_and_losses(seed, scale):
    dice = np.random.default_rng(seed)
    outputs, targets = dice.normal(0, scale, (3, 5, 7)), dice.integers(0, 7, (3, 5))
    weights = dice.integers(0, 2, (3, 5)) / 15
    gradient = (softmax(outputs) - np.eye(7)[targets]) * weights[..., None]
    losses = -np.take_along_axis(log_softmax(outputs), targets[..., None], -1)[..., 0]
    look = measure_step(dice.integers(0, 7, (3, 5)), outputs, gradient, float((losses * weights).sum()))
    assert not look.time_first or look.ids.shape == (5, 3)
    if not look.time_first:
        np.testing.assert_array_equal(look.targets, np.where(weights > 0, targets, -1))
        np.testing.assert_allclose(look.weights, weights, atol=1e-9)
        np.testing.assert_allclose(look.losses, losses * (weights > 0), atol=1e-9)


def test_gates_are_saturated_where_their_bias_is_huge():
    weights = {"embedding": np.zeros((4, 2)), "kernel": np.zeros((2, 8)), "recurrent": np.zeros((2, 8))}
    shares = measure_saturation(
        np.zeros((2, 3), int), weights | {"bias": np.array([9.0, 9, 0, 0, 0, 0, 0, 0])}
    )
    assert shares == {"i": 1.0, "f": 0.0, "g": 0.0, "o": 0.0}


IDS = np.arange(12).reshape(3, 4)


@pytest.mark.parametrize(
    ("read", "field"),
    [
        (lambda table, ids: table[ids[:, ::-1]], "future"),
        (lambda table, ids: table[ids] + table[ids].mean(0), "rows"),
        (lambda table, ids: table[np.roll(ids, 1, axis=0)], "rows"),
    ],
    ids=["reads backwards", "mean over rows", "from row to row"],
)
def test_a_probe_moves_only_what_is_wrong(read, field):
    table = np.random.default_rng(0).normal(size=(12, 12))
    found = doctor.probe(lambda ids: read(table, ids), IDS, 12)
    assert getattr(found, field) > 0.1
    right = doctor.probe(lambda ids: table[ids], IDS, 12)
    assert right == doctor.Probes(1)


def test_a_model_that_remembers_and_one_that_rolls_dice_are_told_apart():
    dice, count = np.random.default_rng(0), iter(range(100))
    assert doctor.probe(lambda ids: np.eye(12)[ids] * (1 + next(count)), IDS, 12).repeat > 0.1

    def reseed():
        nonlocal dice
        dice = np.random.default_rng(0)

    random = doctor.probe(lambda ids: np.eye(12)[ids] * dice.random((3, 4, 1)), IDS, 12, reseed=reseed)
    assert random.repeat == 0
    assert random.chance > 0.1


def test_the_museum_has_one_exhibit_for_every_check_and_the_doctor_names_each():
    found = {
        exhibit.name: [one.name for one in doctor.examine(museum.open_exhibit(exhibit.name))]
        for exhibit in museum.list_exhibits()
    }
    print(f"{len(found)} exhibits, {len(NAMES)} checks")
    assert found == {name: [name] for name in NAMES}
    assert sum(exhibit.path.stat().st_size for exhibit in museum.list_exhibits()) < 600_000


@pytest.mark.parametrize("name", ["softmax_twice", "order_repeated", "clipping_misplaced"])
@pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")
def test_an_exhibit_can_be_made_anew(name, tmp_path):
    exhibit = next(one for one in museum.list_exhibits() if one.name == name)
    made = list(doctor.load_run(record(exhibit, tmp_path)))
    kept = list(museum.open_exhibit(name))
    assert [type(one) for one in made] == [type(one) for one in kept]
    steps = [pair for pair in zip(made, kept, strict=True) if isinstance(pair[0], doctor.Observation)]
    assert [one.batch for one, _ in steps] == [other.batch for _, other in steps]
    assert [one.loss for one, _ in steps] == pytest.approx([other.loss for _, other in steps], rel=1e-3)


def test_a_run_on_disk_is_the_run(tmp_path):
    records = list(museum.open_exhibit("non_finite"))
    doctor.save_run(records, tmp_path / "run.jsonl")
    again = list(doctor.load_run(tmp_path / "run.jsonl"))
    assert [str(one) for one in again] == [str(one) for one in records]
    for line in (tmp_path / "run.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[: len(line) // 2],
        lambda line: line.replace('"schema": 1', '"schema": 2'),
        lambda line: line.replace('"step": 1,', '"step": "one",'),
        lambda line: line.replace('"ids": [[', '"ids": [[[7], '),
        lambda line: "[]",
        lambda line: '{"schema": 1}',
    ],
)
def test_a_damaged_record_is_refused_with_its_line(damage, tmp_path):
    lines = (museum.EXHIBITS / "softmax_twice.jsonl").read_text().splitlines()
    (tmp_path / "run.jsonl").write_text("\n".join([damage(lines[0]), *lines[1:]]))
    with pytest.raises(MinilmError, match="line 1 is no record of a run"):
        list(doctor.load_run(tmp_path / "run.jsonl"))


def test_a_finding_is_a_frozen_record_of_number_cause_and_fix():
    (finding,) = doctor.examine(museum.open_exhibit("softmax_twice"))
    assert finding.number == pytest.approx(np.log(1 + 23 / np.e))
    assert finding.cause
    assert "from_logits" in finding.fix
    with pytest.raises(AttributeError):
        finding.step = 3


def test_a_resumed_run_may_begin_with_a_small_loss():
    records = museum.open_exhibit("order_repeated")
    steps = [record for record in records if isinstance(record, doctor.Observation)][:3]
    fresh = [replace(step, loss=0.5) for step in steps]
    assert [one.name for one in doctor.examine(fresh)] == ["loss_at_start"]
    assert not list(doctor.examine(replace(one, step=one.step + 100) for one in fresh))
