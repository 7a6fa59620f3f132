"""Any place of a training, by stepping, replaying or branching, is the place that one straight run passes."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from minilm import backends
from minilm.bench.workloads import FakeCodec
from minilm.errors import MinilmError
from minilm.records import ModelConfig, TrainStep
from minilm.training.batches import Batch, Batches
from minilm.training.fit import Schedule, fit
from minilm.training.step import dropout_masks
from minilm.training.timeline.branch_diff import branch_steps, find_last_equal_step, weight_differences
from minilm.training.timeline.breakpoints import training_breakpoint_holds, training_breakpoint_of
from minilm.training.timeline.snapshots import Snapshots
from minilm.training.timeline.timeline import Timeline

CONFIG = ModelConfig(20, 5, 6, layers=2, dropout=0.3, seed=1)
DOCUMENTS = [np.random.default_rng(n).integers(4, 20, 30 + n) for n in range(5)]
BATCHES = Batches(DOCUMENTS, 3, 8, seed=2)
SCHEDULE = Schedule(1e-2, 40, warm_up=3)
BACKENDS = backends.available()


def timeline(backend="numpy", **options):
    return Timeline(backends.create(backend, CONFIG), BATCHES, SCHEDULE, **options)


def equal(one, other):
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


class Straight(dict):
    """By backend, when asked for: snapshots after every step of a plain run, and its records."""

    def __missing__(self, backend):
        model = backends.create(backend, CONFIG)
        states, records = [model.snapshot()], []
        for step in fit(model, BATCHES, SCHEDULE, watch=True):
            states.append(model.snapshot())
            records.append(step)
        self[backend] = states, records
        return self[backend]


@pytest.fixture(scope="module")
def straight():
    return Straight()


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_step_jumped_to_in_any_order_has_the_weights_and_moments_of_a_straight_run(backend, straight):
    states, records = straight[backend]
    place = timeline(backend)
    for step in (3, 40, 1, 0, 39, 17, 18, 16, 8, 33):
        assert equal(place.jump(step).model.snapshot(), states[step]), step
    assert list(place.jump(40).records()) == records


@pytest.mark.parametrize("backend", BACKENDS)
def test_pausing_between_gradient_and_update_changes_nothing(backend, straight):
    states, records = straight[backend]
    place = timeline(backend).jump(5)
    gradients, updates = place.gradients(), place.updates()
    assert equal(place.model.snapshot(), states[5])
    assert gradients.loss == records[5].loss
    place = place.next()
    assert equal(place.model.snapshot(), states[6])
    for name, update in updates.items():
        np.testing.assert_array_equal(update, states[6][name] - states[5][name])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_branch_told_the_same_equals_the_trunk(backend, straight):
    states, _ = straight[backend]
    place = timeline(backend).jump(12)
    same_batch = place.with_batch(12)
    assert same_batch.plan.history(14) != place.plan.history(14)
    assert equal(same_batch.jump(20).model.snapshot(), states[20])
    assert all(step.equal for step in branch_steps(place.jump(20), same_batch.jump(20)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_snapshots_in_a_folder_give_the_same_bits_also_to_another_process_of_the_same_run(
    backend, straight, tmp_path
):
    states, records = straight[backend]
    timeline(backend, folder=tmp_path).jump(30)
    again = timeline(backend, folder=tmp_path)
    assert equal(again.jump(29).model.snapshot(), states[29])
    assert not again.replay.records.get(((), 20)), "it began at a snapshot, not at the start"
    assert again.step == records[28] if again.index == 29 else again.jump(29).step == records[28]


def test_old_places_stay_usable_and_going_back_keeps_the_future():
    start = timeline()
    ten = start.jump(10)
    weights = ten.model.snapshot()
    later = ten.until()
    assert later.index == 40
    assert later.stopped == "step 40 is the last one"
    assert equal(ten.model.snapshot(), weights)
    assert later.back(30).index == 10
    assert start.index == 0
    assert start.step is None


def test_a_new_rate_holds_from_its_step_on_and_is_what_a_loop_by_hand_gives():
    branch = timeline().jump(6).with_rate(0.05)
    branch = branch.jump(9).with_rate(None).jump(12)
    model = backends.create("numpy", CONFIG)
    for step in range(12):
        batch = BATCHES.batch(step)
        masks = dropout_masks(CONFIG, 2, step, batch.inputs.shape)
        rate = 0.05 if 6 <= step < 9 else SCHEDULE.at(step)
        model.update(model.gradients(batch.inputs, batch.targets, batch.mask, masks), rate, 1.0)
    assert equal(branch.model.snapshot(), model.snapshot())
    assert [step.rate for step in branch.records()][5:10] == [
        SCHEDULE.at(5),
        0.05,
        0.05,
        0.05,
        SCHEDULE.at(9),
    ]


def test_another_batch_is_met_in_its_step_alone():
    place = timeline().jump(4)
    other = place.with_batch(30).jump(6)
    ids = [step.ids for step in other.records()]
    assert np.array_equal(ids[4], BATCHES.batch(30).inputs)
    assert np.array_equal(ids[5], BATCHES.batch(5).inputs)
    own = Batch(np.full((1, 2), 5), np.full((1, 2), 6), np.ones((1, 2), np.float32))
    assert place.with_batch(own).next().step.ids.tolist() == [[5, 5]]


def test_branches_part_where_they_were_changed_and_say_by_how_much():
    trunk = timeline().jump(10)
    branch = trunk.jump(6).with_rate(0.5).jump(9)
    assert find_last_equal_step(trunk, branch) == 6
    steps = list(branch_steps(trunk, branch))
    assert [step.index for step in steps] == [7, 8, 9]
    assert steps[0].losses[0] == steps[0].losses[1], "the loss comes before the update"
    assert steps[0].rates[1] == 0.5
    assert steps[1].losses[0] != steps[1].losses[1]
    a, b = (line.model.snapshot()["embedding"] for line in (trunk, branch))
    assert weight_differences(trunk, branch)["embedding"].apart == pytest.approx(
        np.linalg.norm(a - b), rel=1e-5
    )
    with pytest.raises(MinilmError, match="two trainings"):
        list(branch_steps(trunk, timeline()))


@pytest.mark.parametrize("step", [-1, 41])
def test_a_step_that_does_not_exist_is_named_and_the_place_stays(step):
    place = timeline().jump(7)
    weights = place.model.snapshot()
    with pytest.raises(MinilmError, match=f"Step {step} does not exist; this training has 0 to 40"):
        place.jump(step)
    assert equal(place.model.snapshot(), weights)


def test_after_the_last_step_there_is_nothing_to_look_at():
    end = timeline().jump(40)
    for look in (end.next, end.gradients, end.updates, end.until, lambda: end.with_rate(0.1)):
        with pytest.raises(MinilmError, match=r"Step 4[01]"):
            look()


def test_a_full_disk_is_one_line_and_what_was_kept_before_goes_on(tmp_path, monkeypatch, straight):
    states, _ = straight["numpy"]
    place = timeline(folder=tmp_path).jump(9)

    def full(self, data):
        Path.touch(self)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(MinilmError, match=r"cannot be written: No space left.*those before it are whole"):
            place.jump(20)
    assert not list(tmp_path.rglob("*.partial"))
    assert equal(place.model.snapshot(), states[9])
    assert equal(place.jump(20).model.snapshot(), states[20])


def test_a_damaged_snapshot_is_passed_over_for_the_one_before(tmp_path, straight):
    states, _ = straight["numpy"]
    place = timeline(folder=tmp_path).jump(30)
    (newest,) = tmp_path.rglob("trunk-00000024.safetensors")
    data = bytearray(newest.read_bytes())
    data[-9] ^= 1
    newest.write_bytes(data)
    assert equal(place.jump(26).model.snapshot(), states[26])
    assert "does not match its digest" in place.replay.snapshots.damaged[0]


def test_another_run_finds_nothing_in_the_folder(tmp_path):
    timeline(folder=tmp_path).jump(20)

    def slower(folder):
        return Timeline(backends.create("numpy", CONFIG), BATCHES, Schedule(2e-3, 40), folder=folder)

    assert equal(slower(tmp_path).jump(18).model.snapshot(), slower(None).jump(18).model.snapshot())


def test_the_budget_holds_by_thinning_out_and_every_step_is_still_reached(straight):
    states, _ = straight["numpy"]
    size = sum(array.nbytes for array in states[0].values()) + 8
    place = timeline(budget=3 * size).jump(40)
    branch = place.jump(5).with_rate(0.1).jump(40)
    assert len(place.replay.snapshots) <= 3
    assert equal(place.jump(23).model.snapshot(), states[23])
    assert branch.jump(23).model.config == CONFIG
    assert place.replay.snapshots.steps()[0] == 0


def test_thinning_out_never_drops_the_start_of_a_run_that_goes_on():
    kept = Snapshots(1000, 35, budget=3000)
    for step in (5, *range(8, 40, 2)):
        kept.keep((), step, {"a": np.zeros(1)})
        assert len(kept) <= 3, "at 1000 bytes each"
    assert kept.steps()[0] == 5
    assert kept.nearest([()] * 8)[0] == 5


def test_a_whole_run_fits_into_its_budget_without_thinning():
    for steps in (99, 100, 101, 2000):
        kept = Snapshots(1000, steps, budget=20_000)
        every = kept.every
        for step in range(0, steps + 1):
            if kept.wants(step):
                kept.keep((), step, {})
        assert kept.every == every
        assert len(kept) * 1000 <= 20_000


def test_a_step_whose_numbers_are_not_finite_is_stopped_before_and_nothing_was_updated():
    model = backends.create("numpy", CONFIG)
    real = model.gradients

    def broken(inputs, *rest):
        found = real(inputs, *rest)
        if np.array_equal(inputs, BATCHES.batch(6).inputs):
            arrays = {
                name: array * np.nan if name == "head.bias" else array for name, array in found.arrays.items()
            }
            return type(found)(found.loss, found.losses, arrays)
        return found

    model.gradients = broken
    place = Timeline(model, BATCHES, SCHEDULE)
    stopped = place.until("nan")
    assert stopped.index == 6
    assert "Gradient of head.bias is nan in step 7, nothing was updated" in stopped.stopped
    assert all(np.isfinite(array).all() for array in stopped.model.snapshot().values())
    with pytest.raises(MinilmError, match=r"head\.bias is nan in step 7"):
        place.until("loss < 0")


def test_conditions_stop_where_they_first_hold():
    place = timeline(codec=FakeCodec(20))
    norms = [step.gradient_norm for step in place.jump(40).records()]
    bound = sorted(norms)[-3]
    assert place.until(f"grad_norm >= {bound}").index == next(i for i, n in enumerate(norms, 1) if n >= bound)
    losses = [step.loss for step in place.jump(40).records()]
    rising = next(i for i in range(3, 41) if losses[i - 3] < losses[i - 2] < losses[i - 1])
    assert place.until("loss rises 2 times").index == rising
    word = int(BATCHES.batch(4).inputs[0, 0])
    first = next(i for i in range(40) if word in BATCHES.batch(i).inputs or word in BATCHES.batch(i).targets)
    assert place.until(f"token 'w{word}' seen").index == first + 1
    assert place.until(f"token {word} seen").index == first + 1
    assert place.until("step == 3 and not clipped or step == 5").index in (3, 5)
    assert place.until("gradient('embedding') > 0").index == 1


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("grad_norm >", "a name, a number or a quoted text expected, got the end"),
        ("los > 3", "one of step, loss"),
        ("token 'w5 seen", "expected"),
        ("loss rises often", "expected"),
        ("rises('loss')", "rises and falls take a name and a whole number"),
        ("gradient('nothing') > 1", "gradient takes one of embedding"),
    ],
)
def test_a_condition_that_cannot_be_understood_is_one_line_and_the_place_stays(condition, said):
    place = timeline(codec=FakeCodec(20)).jump(2)
    with pytest.raises(MinilmError, match=said.replace("(", r"\(")):
        place.until(condition)
    assert place.next().index == 3


def test_a_word_is_seen_where_only_the_last_target_completes_it():
    codec = FakeCodec(20)
    ids, targets = np.array([[7, 4], [9, 8]]), np.array([[4, 5], [6, -1]])
    step = TrainStep(1, ids, 1.0, 3, 0.1, targets=targets)

    def seen(word):
        return training_breakpoint_holds(training_breakpoint_of(f"token '{word}' seen", codec), [step], codec)

    assert seen("w7 w4")
    assert seen("w4 w5"), "w5 is the target of the last input"
    assert seen("w9 w6"), "w8 is padding: the last target of this row is w6"
    assert not seen("w4 w7")
    assert not seen("w4 w9"), "the two are in different rows"


def test_a_word_needs_a_tokenizer():
    with pytest.raises(MinilmError, match="needs a tokenizer"):
        timeline().course("token 'dragon' seen")


def test_branches_in_a_folder_do_not_write_over_each_other(tmp_path, straight):
    states, _ = straight["numpy"]
    own = Batch(np.full((1, 2), 5), np.full((1, 2), 6), np.ones((1, 2), np.float32))

    def ends(folder):
        start = timeline(folder=folder)
        trunk = start.jump(30)
        lines = [trunk, start.jump(10).with_rate(0.3).jump(30), start.jump(10).with_batch(own).jump(30)]
        start.replay.forget()
        return [line.model.snapshot() for line in lines]

    kept, plain = ends(tmp_path), ends(None)
    assert equal(kept[0], states[30])
    assert all(equal(a, b) for a, b in zip(kept, plain, strict=True))
    assert not equal(kept[0], kept[1])


def test_a_place_reached_in_replays_keeps_the_count_of_tokens(straight):
    _, records = straight["numpy"]
    place = timeline().jump(40)
    place.replay.records.clear()
    assert place.jump(27).step == records[26]


def test_looking_at_a_place_after_the_model_was_used_elsewhere_needs_only_forgetting(straight):
    states, _ = straight["numpy"]
    place = timeline().jump(12)
    place.model.restore({name: np.zeros_like(array) for name, array in states[0].items()})
    place.replay.forget()
    assert equal(place.model.snapshot(), states[12])
