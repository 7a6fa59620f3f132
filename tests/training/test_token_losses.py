"""What a step shows: tokens with their losses, surprises, norms; sessions; and what a branch compares."""

import numpy as np
import pytest

from minilm import backends
from minilm.bench.workloads import FakeCodec
from minilm.errors import MinilmError
from minilm.faces.text import train as text_train
from minilm.records import ModelConfig, ParameterNorms, TrainStep
from minilm.training.batches import Batches
from minilm.training.fit import Schedule, fit
from minilm.training.step import norm
from minilm.training.timeline.timeline import Timeline, open_train_session
from minilm.training.timeline.token_losses import batch_rows, facts_of, surprised

CODEC = FakeCodec(20)
STEP = TrainStep(
    index=3,
    ids=np.array([[2, 5, 6], [2, 7, 0]]),
    loss=1.0,
    tokens=5,
    rate=0.1,
    clip_factor=0.5,
    losses=np.array([[0.5, 2.5, 1.0], [3.0, 0.25, 9.0]]),  # 9 stands on padding
    norms={"a": ParameterNorms(3.0, 0.1, 10.0), "b": ParameterNorms(4.0, 0.2, 0.0)},
    targets=np.array([[5, 6, 3], [7, 3, -1]]),
)


def test_every_target_that_counts_stands_beside_its_loss_and_padding_does_not():
    rows = batch_rows(STEP, CODEC)
    assert [[(t.id, t.loss) for t in row] for row in rows] == [
        [(5, 0.5), (6, 2.5), (3, 1.0)],
        [(7, 3.0), (3, 0.25)],
    ]
    assert rows[0][2].text == "<EOS>"
    assert rows[0][1].before.endswith(" w5")
    assert len(batch_rows(STEP, CODEC, 1)) == 1


def test_the_most_surprised_come_first_and_padding_never():
    assert [t.loss for t in surprised(STEP, CODEC, 3)] == [3.0, 2.5, 1.0]
    assert len(surprised(STEP, CODEC, 99)) == 5


def test_an_unwatched_step_has_no_loss_per_token():
    plain = TrainStep(1, STEP.ids, 1.0, 5, 0.1)
    for look in (batch_rows, surprised):
        with pytest.raises(MinilmError, match="Step 1 was not watched"):
            look(plain, CODEC)
    assert plain.gradient_norm is None
    assert "no norms" in text_train.norms_text(plain)


def test_the_global_norm_is_over_all_parameters():
    assert STEP.gradient_norm == 5.0
    shown = text_train.norms_text(STEP)
    assert "gradient norm 5, clipped × 0.5; rate 0.1" in shown
    assert "inf" in shown.splitlines()[2], "a weight of norm 0 has an infinite ratio"


@pytest.mark.parametrize("backend", backends.available())
def test_losses_targets_and_norms_of_a_real_step_are_the_framework_s(backend):
    config = ModelConfig(20, 5, 6, layers=2, seed=1)
    batches = Batches([np.random.default_rng(n).integers(4, 20, 4 + n) for n in range(5)], 3, 8, seed=2)
    model = backends.create(backend, config)
    before = {name: np.array(a, np.float64) for name, a in model.weights().items()}
    batch = batches.batch(0)
    gradients = model.gradients(batch.inputs, batch.targets, batch.mask)
    expected = {name: np.linalg.norm(np.array(a, np.float64)) for name, a in gradients.arrays.items()}
    step = next(iter(fit(model, batches, Schedule(1e-2, 5), watch=True)))
    assert (batch.mask == 0).any()
    assert np.array_equal(step.targets == -1, batch.mask == 0)
    assert np.array_equal(step.targets[batch.mask == 1], batch.targets[batch.mask == 1])
    np.testing.assert_allclose(step.losses, gradients.losses)
    for name, norms in step.norms.items():
        after = np.array(model.weights()[name], np.float64)
        assert norms.gradient == pytest.approx(expected[name], rel=1e-5)
        assert norms.update == pytest.approx(np.linalg.norm(after - before[name]), rel=1e-4)
        assert norms.weight == pytest.approx(np.linalg.norm(after), rel=1e-5)


def test_a_norm_does_not_overflow_and_nan_stays_nan():
    assert norm(np.full(4, 1e30, np.float32)) == pytest.approx(2e30)
    assert np.isnan(norm(np.array([1.0, np.nan])))
    assert norm(np.array([1.0, np.inf])) == np.inf
    assert norm(np.asfortranarray([[3.0, 0.0], [4.0, 0.0]])) == 5.0


def test_facts_of_arrays_as_text():
    shown = text_train.arrays_text(facts_of({"kernel": np.array([[3.0, 0.0], [-4.0, 0.0]])}))
    assert shown.splitlines()[1].split() == ["kernel", "2", "×", "2", "5", "-4", "3", "50%"]


def test_a_session_keeps_every_branch_where_it_was():
    config = ModelConfig(20, 5, 6, seed=1)
    batches = Batches([np.random.default_rng(3).integers(4, 20, 300)], 3, 8)
    session = open_train_session(Timeline(backends.create("numpy", config), batches, Schedule(1e-2, 9)))
    session = session.move_to(session.here.jump(4)).new_branch()
    session = session.move_to(session.here.with_rate(0.3).next())
    assert (session.current, session.here.index, session.branch("trunk").index) == ("b1", 5, 4)
    assert session.switch("trunk").new_branch().current == "b2"
    for wrong in (lambda: session.switch("x"), lambda: session.new_branch("trunk")):
        with pytest.raises(MinilmError, match="branch"):
            wrong()
