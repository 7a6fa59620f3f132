"""A record is what a frozen dataclass with slots is, in everything but the time that it takes to make one."""

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest

from minilm.frozen import record
from minilm.records import Candidate, Decision, Distribution, Removal, StageEffect, Step


def plain(cls):
    """The same fields as the standard library freezes them."""
    names = {f.name: f for f in fields(cls)}
    space = {"__annotations__": {n: f.type for n, f in names.items()}, "__module__": cls.__module__}
    return dataclass(frozen=True, slots=True)(type(cls.__name__, (), space))


@pytest.mark.parametrize("cls", [Candidate, Decision, Distribution, Removal, StageEffect, Step])
def test_a_record_has_the_fields_slots_and_signature_of_a_frozen_dataclass(cls):
    oracle = plain(cls)
    assert [f.name for f in fields(cls)] == [f.name for f in fields(oracle)]
    assert cls.__slots__ == oracle.__slots__
    assert list(inspect.signature(cls).parameters) == list(inspect.signature(oracle).parameters)


def test_nothing_can_be_set_added_or_deleted():
    removal = Removal("TopK(3)", "rank 4 > 3")
    for change in (
        lambda: setattr(removal, "why", "another"),
        lambda: delattr(removal, "why"),
        lambda: setattr(removal, "more", 1),
    ):
        with pytest.raises((FrozenInstanceError, TypeError)):
            change()
    assert removal == Removal("TopK(3)", "rank 4 > 3")


def test_a_record_is_of_its_own_class_is_hashed_copied_pickled_and_replaced():
    one = Distribution(1.5, 9, 0.95)
    assert type(one) is Distribution
    assert hash(one) == hash(Distribution(1.5, 9, 0.95))
    for other in (
        copy.copy(one),
        copy.deepcopy(one),
        pickle.loads(pickle.dumps(one)),
        replace(one, k_used=9),
    ):
        assert other == one
        assert type(other) is Distribution


def test_a_missing_or_a_strange_field_is_a_type_error():
    for arguments, named in (((1.0,), {}), ((1.0, 2, 3.0, 4), {}), ((1.0, 2), {"mass": 3.0})):
        with pytest.raises(TypeError):
            Distribution(*arguments, **named)


def test_a_default_made_afresh_is_not_shared():
    @record
    class Row:
        cells: list

    first, second = (StageEffect("TopK(1)", 1, 1.0, 0.0, None) for _ in range(2))
    assert first.watched is not second.watched
    assert Row([1]).cells == [1]
