"""Batches by (seed, step): nothing lost, nothing shifted, the same on every call."""

from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilm.errors import MinilmError
from minilm.training.batches import Batches, encode_documents, in_order


def counted(*lengths: int) -> list[np.ndarray]:
    """Documents whose ids are all different, so that every target can be told apart."""
    ends = np.cumsum([0, *lengths])
    return [np.arange(a + 1, b + 1) for a, b in pairwise(ends)]


@given(
    st.lists(st.integers(2, 40), min_size=1, max_size=6), st.integers(1, 5), st.integers(1, 12), st.integers()
)
def test_targets_are_the_inputs_one_later_and_padding_is_masked(lengths, size, length, seed):
    documents = counted(*lengths)
    after = {int(a): int(b) for d in documents for a, b in pairwise(d)}
    batches = Batches(documents, size, length, seed)
    for step in range(4):
        batch = batches.batch(step)
        assert batch.inputs.shape == batch.targets.shape == batch.mask.shape
        assert batch.inputs.shape[0] == size
        assert batch.inputs.shape[1] <= length
        for x, y, kept in zip(batch.inputs.flat, batch.targets.flat, batch.mask.flat, strict=True):
            assert (after[int(x)] == y) if kept else (x == y == 0)


@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.integers(1, 12))
def test_validation_meets_every_target_exactly_once(lengths, length):
    documents = counted(*lengths)
    met = [t for b in in_order(documents, 3, length) for t in b.targets[b.mask > 0]]
    assert sorted(met) == sorted(t for document in documents for t in document[1:])


def test_an_epoch_meets_every_whole_document_once_and_the_next_in_another_order():
    batches = Batches(counted(*[5] * 12), size=4, length=10)
    firsts = [tuple(batches.batch(step).inputs[:, 0]) for step in range(6)]
    epochs = [sum(firsts[:3], ()), sum(firsts[3:], ())]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(1, 61, 5))
    assert epochs[0] != epochs[1]


def test_the_order_depends_on_seed_and_step_alone():
    documents = counted(300)
    forward = [Batches(documents, 4, 16, seed=9).batch(step).inputs for step in range(12)]
    batches = Batches(documents, 4, 16, seed=9)
    for step in (11, 3, 0, 7):
        assert np.array_equal(batches.batch(step).inputs, forward[step])
    assert not np.array_equal(Batches(documents, 4, 16, seed=10).batch(0).inputs, forward[0])


def test_windows_of_two_epochs_begin_at_different_places():
    batches = Batches(counted(1000), 1, 64)
    starts = [{int(batches.batch(15 * e + s).inputs[0, 0]) % 64 for s in range(15)} for e in range(4)]
    assert all(len(each) == 1 for each in starts)
    assert len(set.union(*starts)) > 1


def test_documents_begin_with_bos_and_end_with_eos():
    class Codec:
        special_ids: ClassVar = {"bos": 2, "eos": 3}

        def encode(self, text: str) -> list[int]:
            return [ord(letter) for letter in text]

    assert [d.tolist() for d in encode_documents(Codec(), ["a", "bc"])] == [[2, 97, 3], [2, 98, 99, 3]]


@pytest.mark.parametrize(("documents", "size"), [([], 1), ([np.array([1])], 1), (counted(5), 0)])
def test_what_cannot_be_batched_is_refused(documents, size):
    with pytest.raises(MinilmError):
        Batches(documents, size)
