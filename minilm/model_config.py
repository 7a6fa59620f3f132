"""Check a ModelConfig, and read one from JSON: a wrong size is named before a framework sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from minilm.errors import MinilmError
from minilm.records import ModelConfig, OptimizerConfig
from minilm.weights import weight_shapes

__all__ = ["check_config", "config_from_json"]

# The largest size, and the most weights together. So a typing error or a damaged config does not ask for all
# memory.
LIMIT = 1 << 24
NUMBERS = 1 << 31


def check_config(config: ModelConfig) -> ModelConfig:
    """Return the config itself; MinilmError names a field that is wrong.

    >>> check_config(ModelConfig(vocab_size=0))
    Traceback (most recent call last):
    minilm.errors.MinilmError: vocab_size must be a whole number from 1 to 16777216, got 0
    """
    for name in ("vocab_size", "embedding_size", "hidden_size", "layers"):
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LIMIT:
            raise MinilmError(f"{name} must be a whole number from 1 to {LIMIT}, got {value!r}")
    numbers = (
        sum(math.prod(shape) for shape in weight_shapes(config).values())
        if config.layers < 1000
        else LIMIT**2
    )
    if numbers > NUMBERS:
        raise MinilmError(
            f"These sizes make more than {NUMBERS} weights; lower hidden_size, layers or vocab_size"
        )
    if not isinstance(config.seed, int) or isinstance(config.seed, bool):
        raise MinilmError(f"seed must be a whole number, got {config.seed!r}")
    if not _number(config.dropout) or not 0 <= config.dropout < 1:
        raise MinilmError(f"dropout must be a probability from 0 to below 1, got {config.dropout!r}")
    for name in ("beta1", "beta2"):
        value = getattr(config.optimizer, name)
        if not _number(value) or not 0 <= value < 1:
            raise MinilmError(f"optimizer.{name} must be from 0 to below 1, got {value!r}")
    epsilon = config.optimizer.epsilon
    if not _number(epsilon) or epsilon <= 0:
        raise MinilmError(f"optimizer.epsilon must be above 0, got {epsilon!r}")
    return config


def config_from_json(values: Any, source: str = "config.json") -> ModelConfig:
    """Return the ModelConfig of a JSON object.

    Args:
        values: the object.
        source: what errors call the file.

    Raises:
        MinilmError: a field is unknown, missing or wrong.
    """
    if not isinstance(values, Mapping):
        raise MinilmError(f"{source}: 'model' must be an object of sizes, got {type(values).__name__}")
    known = {f.name for f in fields(ModelConfig)}
    unknown = sorted(set(map(str, values)) - known)
    if unknown or "vocab_size" not in values:
        what = f"unknown field {unknown[0][:40]!r}" if unknown else "no vocab_size"
        raise MinilmError(f"{source}: {what}; is it a model of minilm? known: {', '.join(sorted(known))}")
    optimizer = values.get("optimizer", {})
    if not isinstance(optimizer, Mapping) or not set(optimizer) <= {f.name for f in fields(OptimizerConfig)}:
        raise MinilmError(f"{source}: 'optimizer' must be an object of beta1, beta2 and epsilon")
    try:
        return check_config(ModelConfig(**{**values, "optimizer": OptimizerConfig(**optimizer)}))
    except MinilmError as error:
        raise MinilmError(f"{source}: {error}") from None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
