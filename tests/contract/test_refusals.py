"""Every backend refuses the same input, in one line, before its framework sees it."""

import numpy as np
import pytest

from minilm.backends import create
from minilm.errors import MinilmError
from minilm.records import ModelConfig, OptimizerConfig

ONES = np.ones((2, 3))
IDS = np.ones((2, 3), np.int64)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "at least one id"),
        ([1, 13, 2], "Id 13 at position 1 is outside the vocabulary of 13"),
        ([13], "Id 13 at position 0"),
        ([-1], "Id -1 at position 0"),
        ([[1, 2]], "shape"),
        ([0.5], "whole numbers"),
        (["a"], "whole numbers"),
    ],
)
def test_ids_that_cannot_be_are_named(model, ids, message):
    with pytest.raises(MinilmError, match=message):
        model.read(ids)


def test_unknown_rows_inner_arrays_and_states_are_named(model):
    with pytest.raises(MinilmError, match='"last" or "all", got \'first\''):
        model.read([1], rows="first")
    with pytest.raises(MinilmError, match=r"gates\.1; got 'attention\.0'"):
        model.read([1], inner=["gates.0", "attention.0"])
    with pytest.raises(MinilmError, match="inner must be a list"):
        model.read([1], inner="gates.0")
    other = create(model.name, ModelConfig(13, 5, 7, layers=2), "float64")
    with pytest.raises(MinilmError, match="another model's"):
        model.read([1], other.read([1]).state)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((IDS, IDS[:1], ONES), r"one shape \(B, T\), got \(2, 3\), \(1, 3\) and \(2, 3\)"),
        ((IDS[0], IDS[0], ONES[0]), "one shape"),
        ((IDS, IDS, ONES * 0), "all padding"),
        ((IDS, IDS, ONES * 0.5), "0 and 1 only"),
        ((IDS, IDS, ONES * np.nan), "0 and 1 only"),
        ((IDS * 13, IDS, ONES), r"Id 13 at position \(0, 0\)"),
        ((IDS, IDS * -1, ONES), r"Id -1 at position \(0, 0\)"),
        ((IDS * 1.0, IDS, ONES), "whole numbers"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(model, batch, message):
    for ask in (model.gradients, model.losses):
        with pytest.raises(MinilmError, match=message):
            ask(*batch)


def test_dropout_masks_of_another_shape_are_refused(model):
    with pytest.raises(MinilmError, match=r"2 masks \(B, T, H\) of shape \(2, 3, 6\)"):
        model.gradients(IDS, IDS, ONES, dropout=[np.ones((2, 3, 6))])
    with pytest.raises(MinilmError, match="denominator must be above 0"):
        model.gradients(IDS, IDS, ONES, denominator=0.0)


def test_a_gradient_that_is_not_finite_changes_nothing(model):
    gradients = model.gradients(IDS, IDS, ONES)
    broken = {name: array.copy() for name, array in gradients.arrays.items()}
    broken["head.bias"][0] = np.nan
    before = model.snapshot()
    with pytest.raises(MinilmError, match="norm is nan; nothing was updated"):
        model.update(type(gradients)(1.0, gradients.losses, broken), 0.1, clip=1.0)
    assert all(np.array_equal(before[name], array) for name, array in model.snapshot().items())
    with pytest.raises(MinilmError, match="clip must be above 0"):
        model.update(gradients, 0.1, clip=0.0)


def test_a_device_or_dtype_that_is_not_there_is_one_line(backend):
    config = ModelConfig(5)
    with pytest.raises(MinilmError, match="dtype must be float32 or float64, got 'float16'"):
        create(backend, config, "float16")
    with pytest.raises(MinilmError, match="dtype must be float32 or float64, got 'int8'"):
        create(backend, config, "int8", weights=create(backend, config).weights())
    for device in ("cuda:99", "gpux"):
        with pytest.raises(MinilmError, match=device) as caught:
            create(backend, config, device=device)
        assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(backend, model):
    arrays = model.snapshot()
    with pytest.raises(MinilmError, match="must have shape"):
        create(backend, ModelConfig(13, 5, 7, layers=2), weights=arrays)
    with pytest.raises(MinilmError, match="not finite"):
        model.restore(arrays | {"head.bias": np.full(13, np.nan)})
    with pytest.raises(MinilmError, match=r"lstm\.2\.kernel is missing"):
        create(backend, ModelConfig(13, 5, 6, layers=3), weights=arrays)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (ModelConfig(0), "vocab_size"),
        (ModelConfig(5, hidden_size=-1), "hidden_size"),
        (ModelConfig(5, layers=1.5), "layers"),
        (ModelConfig(5, hidden_size=10**6), "more than 2147483648 weights"),
        (ModelConfig(5, layers=10**6), "more than 2147483648 weights"),
        (ModelConfig(5, dropout=1.0), "dropout"),
        (ModelConfig(5, optimizer=OptimizerConfig(beta1=1.0)), "optimizer.beta1"),
        (ModelConfig(5, optimizer=OptimizerConfig(epsilon=0.0)), "optimizer.epsilon"),
    ],
)
def test_sizes_that_cannot_be_are_named(backend, config, field):
    with pytest.raises(MinilmError, match=field):
        create(backend, config)


def test_an_attribution_to_no_token_is_refused(model):
    with pytest.raises(MinilmError, match="Id 13 at position 0"):
        model.embedding_gradient([1], 13)
    with pytest.raises(MinilmError, match='"logp" or "logit"'):
        model.embedding_gradient([1], 2, of="p")
