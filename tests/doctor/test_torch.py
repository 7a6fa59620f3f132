"""Every seeded mistake in PyTorch is found by its check alone; loops without one give no finding."""

import contextlib
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402 - after the skip
from torch.nn import functional  # noqa: E402
from torch_loops import BROKEN_LOOPS, Loop, Net  # noqa: E402
from toy_rows import toy_rows  # noqa: E402

from minilm import doctor  # noqa: E402


def names(loop, steps=14, **given):
    with doctor.attach_torch(**given) as watching:
        losses = list(loop.run(steps))
    return [finding.name for finding in watching.findings()], watching, losses


@pytest.mark.parametrize("broken_loop", BROKEN_LOOPS, ids=lambda loop: loop.__name__)
def test_each_seeded_mistake_is_found_by_its_check_alone(broken_loop):
    loop = broken_loop()
    assert names(loop, model=loop.net, optimizer=loop.optimizer)[0] == [broken_loop.finding]


def test_the_mistakes_reach_every_check_but_the_one_of_sparse_slices():
    findings = {loop.finding for loop in BROKEN_LOOPS}
    print(f"{len(BROKEN_LOOPS)} seeded mistakes in torch, {len(findings)} checks of {len(doctor.CHECKS)}")
    assert {check.__name__ for check, _ in doctor.CHECKS} - findings == {"repeated_id_steps"}


def test_a_right_loop_of_300_steps_gives_no_finding_and_its_numbers_are_not_touched():
    plain = list(Loop().run(300))
    loop = Loop()
    found, watching, losses = names(loop, 300, model=loop.net, optimizer=loop.optimizer)
    assert found == []
    assert losses == plain
    assert watching.steps == 300


def test_model_and_optimizer_are_found_as_they_are_used():
    found, watching, _ = names(Loop())
    assert (found, watching.steps) == ([], 14)


def test_after_the_with_torch_is_as_it_was():
    before = (torch.Tensor.backward, torch.optim.Optimizer.zero_grad, nn.Module.zero_grad)
    with doctor.attach_torch():
        assert torch.Tensor.backward is not before[0]
    assert (torch.Tensor.backward, torch.optim.Optimizer.zero_grad, nn.Module.zero_grad) == before


def test_a_close_look_tells_targets_weights_and_losses_as_torch_reckons_them():
    loop = Loop()
    inputs, targets = loop.cut(loop.batch(0))
    wanted = functional.cross_entropy(loop.read(inputs).mT, targets, reduction="none", ignore_index=0)
    _, watching, _ = names(loop, 1)
    look = watching.records[0].look
    kept = targets.numpy() != 0
    np.testing.assert_array_equal(look.targets, np.where(kept, targets, -1))
    np.testing.assert_allclose(look.losses, wanted.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(look.weights, kept / kept.sum(), rtol=1e-4)


class TimeFirst(Loop):
    """A right loop whose arrays are (T, B), as nn.LSTM has them unless it is told otherwise."""

    def make_net(self):
        net = Net()
        net.lstm = nn.LSTM(16, 24)
        return net

    def cut(self, ids):
        return ids[:, :-1].T, ids[:, 1:].T


class Accumulating(Loop):
    """A right loop that updates after two batches."""

    def update(self, loss):
        (loss / 2).backward()
        self.count = getattr(self, "count", 0) + 1
        if self.count % 2 == 0:
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()


class Continuing(Loop):
    """A right loop that carries the state, for its rows go on where the batch before ended."""

    def batch(self, step):
        stream = np.concatenate([toy_rows(number)[:, 1:6] for number in range(60)], axis=1)
        stream = np.where(stream == 0, 5, stream)
        return torch.from_numpy(stream[:, step * 5 : step * 5 + 6])

    def read(self, inputs):
        logits, state = self.net(inputs, getattr(self, "state", None))
        self.state = tuple(part.detach() for part in state)
        return logits


class ByHand(Loop):
    """A right loop with dropout, weight decay, an own clip by value, and a test in evaluation mode."""

    def make_net(self):
        return Net(dropout=0.2)

    def make_optimizer(self):
        return torch.optim.AdamW(self.net.parameters(), lr=3e-3, weight_decay=0.01)

    def update(self, loss):
        self.net.zero_grad()
        loss.backward()
        for parameter in self.net.parameters():
            parameter.grad.clamp_(-0.02, 0.02)
        self.optimizer.step()
        self.net.eval()
        with torch.no_grad():
            self.read(self.cut(self.batch(900))[0])
        self.net.train()


@pytest.mark.parametrize("right", [TimeFirst, Continuing, ByHand])
def test_other_right_loops_give_no_finding(right):
    assert names(right(), 40)[0] == []


def test_a_loop_that_accumulates_gradients_is_not_told_to_zero_them():
    found, watching, _ = names(Accumulating(), 40)
    assert watching.steps == 20
    assert [name for name in found if name != "loss_at_start"] == []


def test_loss_at_start_names_ln_v_and_the_sum():
    loop = next(loop for loop in BROKEN_LOOPS if loop.__name__ == "LossSummed")()
    with doctor.attach_torch(loop.net) as watching:
        list(loop.run(1))
    (finding,) = watching.findings()
    assert f"{math.log(24):.3f}" in finding.what
    assert "sum over 46 tokens" in finding.cause


def test_enough_ends_a_loop_that_swallows_exceptions():
    loop = Loop()

    def careless():
        for _ in range(100):
            with contextlib.suppress(Exception):
                list(loop.run(100))

    with pytest.raises(doctor.Enough), doctor.attach_torch(limit=3) as watching:
        careless()
    assert watching.steps == 3


def test_no_step_seen_is_refused():
    with doctor.attach_torch() as watching:
        pass
    with pytest.raises(doctor.watching.MinilmError, match="No training step was seen"):
        watching.findings()


def test_a_loop_watched_in_two_parts_goes_on_counting_and_gives_no_finding():
    """Adam's first step alone is bounded by the rate, and only fresh weights lose ln V."""
    loop = Loop()
    assert names(loop, 20)[0] == []
    found, watching, _ = names(loop, 20)
    assert (found, watching.records[0].step) == ([], 21)
