"""A training that ends at a time ends then on any machine, and its rates can be replayed."""

import pytest

from minilm.training import clock as clock_module
from minilm.training.clock import Clock
from minilm.training.fit import Schedule


@pytest.fixture
def time(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [100.0]
    monkeypatch.setattr(clock_module, "monotonic", lambda: now[0])
    return now


def run(clock, time, lengths):
    """Make steps of these lengths up to the end; the rate of each and the steps with a validation."""
    rates, validated, step = [], [], 0
    clock.start()
    clock.mark(step)
    while not clock.over:
        rates.append(clock.schedule.at(step))
        time[0] += lengths(step)
        step += 1
        clock.mark(step)
        if clock.due:
            validated.append(step)
    clock.stop()
    return rates, validated


@pytest.mark.parametrize("lengths", [lambda _: 0.25, lambda step: 0.1 if step < 100 else 2.0, lambda _: 7.0])
def test_the_steps_end_with_the_time_and_the_rate_falls_with_it(time, lengths):
    clock = Clock(Schedule(1.0, 5000), 60.0)
    rates, _ = run(clock, time, lengths)
    assert 60 - lengths(len(rates)) < time[0] - 100 <= 60
    after_warm_up = rates[20:]
    assert after_warm_up == sorted(after_warm_up, reverse=True)
    if len(rates) > 30:
        assert rates[-1] < 0.03


def test_what_the_clock_notes_gives_every_rate_again(time):
    clock = Clock(Schedule(1.0, 5000), 60.0)
    rates, _ = run(clock, time, lambda step: 0.1 + step % 7 / 3)
    again = Schedule(1.0, len(rates), parts=clock.schedule.parts)
    assert [again.at(step) for step in range(len(rates))] == rates
    assert len(clock.schedule.parts) <= 100


def test_ten_validations_are_spread_over_the_time_and_the_last_one_is_part_of_it(time):
    clock = Clock(Schedule(1.0, 5000), 100.0)
    clock.took(1.0)
    _, validated = run(clock, time, lambda _: 1.0)
    assert validated == [9, 19, 29, 39, 49, 59, 69, 79, 89, 99]


def test_a_validation_that_takes_long_comes_at_the_end_alone(time):
    clock = Clock(Schedule(1.0, 5000), 100.0)
    clock.took(10.0)
    _, validated = run(clock, time, lambda _: 1.0)
    assert validated == [90]


def test_the_time_stands_still_between_two_runs(time):
    clock = Clock(Schedule(1.0, 9), 60.0, spent=5.0)
    clock.start()
    time[0] += 10
    clock.stop()
    time[0] += 1000
    assert clock.gone() == 15
    assert not clock.late()
