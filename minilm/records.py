"""Frozen values: what a model answers and what a loop yields.

Nothing is computed here but what a record's own fields give. A record is equal on every run that is equal,
so it carries no clock time.
Letters of shapes: B batch, T time, V vocabulary, E embedding, H hidden. Entropy and losses in nats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import hypot
from typing import Any

import numpy as np

from minilm.frozen import Shown, record

__all__ = [
    "Array",
    "Candidate",
    "Decision",
    "Distribution",
    "Embedding",
    "Gradients",
    "ModelConfig",
    "OptimizerConfig",
    "ParameterNorms",
    "Reading",
    "Removal",
    "StageEffect",
    "Step",
    "TrainStep",
    "frozen_array",
]

Array = np.ndarray


def frozen_array(values: Any, dtype: Any = None) -> Array:
    """A read-only view of an array (a copy only where the type must change).

    >>> frozen_array([1, 2]).flags.writeable
    False
    """
    view = np.asarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam (Kingma and Ba, 2015), epsilon outside the bias-corrected root, the same in every backend."""

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of an LSTM language model and the seed of its initial weights.

    dropout: probability of zeroing an output of an LSTM layer while training (after every layer).
    """

    vocab_size: int
    embedding_size: int = 64
    hidden_size: int = 128
    layers: int = 1
    dropout: float = 0.0
    seed: int = 0
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)


@dataclass(frozen=True, eq=False)
class Reading:
    """What a model answers when it reads T tokens.

    logits: (1, V) for the last token or (T, V) for all; embeddings: (T, E); state: opaque, hand it
    back to go on, the old one stays usable; inner: the named arrays that were asked for.
    """

    logits: Array
    embeddings: Array
    state: Any = field(repr=False)
    inner: Mapping[str, Array] = field(default_factory=dict[str, Array])

    def __repr__(self) -> str:
        inner = f", inner {sorted(self.inner)}" if self.inner else ""
        return f"Reading(logits {self.logits.shape}, embeddings {self.embeddings.shape}{inner})"


@dataclass(frozen=True, eq=False)
class Gradients:
    """Loss and gradients of one batch, before any update.

    loss: nats per token, padding excluded; losses: (B, T), 0 where masked; arrays: by canonical
    name (a framework may make them only when looked at); native: the framework's own tensors.
    """

    loss: float
    losses: Array
    arrays: Mapping[str, Array]
    native: Any = field(default=None, repr=False)

    @property
    def global_norm(self) -> float:
        """Root of the sum of squares over all gradients, in float64."""
        return float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in self.arrays.values())))

    def __repr__(self) -> str:
        return f"Gradients(loss {self.loss:.4f}, {len(self.arrays)} arrays)"


@record
class StageEffect:
    """One row of the ledger: what one stage did to the distribution.

    survivors: tokens left; mass_kept: share of the probability before it that is left;
    entropy: nats after it; chosen: change of the chosen token's log-probability, None for a forced
    token that did not survive; watched: the same for each watched id; note: what else the stage has to
    say of this step, or None; cut: how near it was to keeping other tokens, in nats: how far scores must
    move against each other for that (TopH: shares of the entropy), None where it compared none.
    """

    stage: str
    survivors: int
    mass_kept: float
    entropy: float
    chosen: float | None
    watched: Mapping[int, float | None] = field(default_factory=dict[int, "float | None"])
    note: str | None = None
    cut: float | None = None


@record
class Removal:
    """What removed a token: the stage, and the number that failed ("0.012 < 0.05 x 0.31")."""

    stage: str
    why: str


@record
class Candidate(Shown):
    """One token that could have been next.

    logit, p_model, logp_model: as the model gave them (temperature 1, nothing applied); p_tempered:
    just after Temperature, else p_model; p_final: what the draw fell on; rank: over the whole
    vocabulary by logit, from 1; removed_by: the stage that removed it and why, or None.
    """

    id: int
    text: str
    bytes: bytes
    logit: float
    p_model: float
    logp_model: float
    p_tempered: float
    p_final: float
    rank: int
    removed_by: Removal | None = None


@record
class Distribution:
    """A distribution in three numbers: entropy in nats, adaptive k, and the mass that k tokens hold."""

    entropy: float
    k_used: int
    mass_used: float


@record
class Decision(Shown):
    """How one token was chosen.

    candidates: best first by logit, the chosen and the watched ones always among them;
    u: the draw in [0, 1), None where nothing was drawn; interval: [low, high) of the chosen token on
    the cumulative final distribution in ascending id order; margin: min(u - low, high - u); fragile:
    whether changes of 1e-5 in the logits, as between two frameworks, can choose another token.
    """

    candidates: tuple[Candidate, ...]
    stages: tuple[StageEffect, ...]
    survivors: int
    raw: Distribution
    final: Distribution
    u: float | None
    interval: tuple[float, float] | None
    margin: float | None
    chosen: Candidate
    reason: str
    forced: bool = False
    fragile: bool = False

    @property
    def cut(self) -> float | None:
        """The least distance of a stage to its cut; None where none compared anything."""
        return min((effect.cut for effect in self.stages if effect.cut is not None), default=None)

    def __repr__(self) -> str:
        chosen = self.chosen
        return (
            f"Decision(chose {chosen.text!r} {chosen.id}, p {chosen.p_final:.3f}, rank {chosen.rank}, "
            f"{self.survivors} survivors: {self.reason})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The embedding of the id that was read: its shape, Euclidean norm and vector (E,).

    cosine: to the embedding read in the step before (or the prompt token before), None for the first.
    """

    shape: tuple[int, ...]
    norm: float
    vector: Array = field(repr=False)
    cosine: float | None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Embedding):
            return NotImplemented
        same = (self.shape, self.norm, self.cosine) == (other.shape, other.norm, other.cosine)
        return same and np.array_equal(self.vector, other.vector)

    __hash__ = None  # type: ignore[assignment]


@record
class Step(Shown):
    """One token of a generation.

    index: from 0, counted over generated tokens; position: of the id read, from 0, in the whole
    sequence; id, text, bytes: the token that was read; decision: how the next one was chosen;
    new_text: the text that it completes; offset: of new_text in the generated text, in bytes of
    UTF-8; finish: None, "eos", "stop", "constraint", "length" or "context"; branch: whose dice were used.
    """

    index: int
    position: int
    id: int
    text: str
    bytes: bytes
    embedding: Embedding
    decision: Decision
    new_text: str
    offset: int
    finish: str | None = None
    branch: int = 0

    def __repr__(self) -> str:
        chosen = self.decision.chosen
        return (
            f"Step({self.index}: read {self.text!r} {self.id}, chose {chosen.text!r} {chosen.id}, "
            f"p {chosen.p_final:.3f}, rank {chosen.rank}, {self.finish or 'goes on'})"
        )


@record
class ParameterNorms:
    """Euclidean norms of one parameter in one training step; ratio is update over weight."""

    gradient: float
    update: float
    weight: float

    @property
    def ratio(self) -> float:
        """Norm of the update over norm of the weight; infinite for a weight of norm 0."""
        return self.update / self.weight if self.weight else float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class TrainStep(Shown):
    """One training step.

    index: from 1; ids: (B, T) the inputs of the batch; loss: nats per token, padding excluded;
    tokens: targets seen since the start; rate: the learning rate used; clip_factor: what the
    gradients were multiplied by, 1 where nothing was clipped; validation: nats per token on held-out
    text where it was measured after this step. Only when watched: losses (B, T), targets (B, T) with -1
    where none counts, and norms by parameter.
    """

    index: int
    ids: Array
    loss: float
    tokens: int
    rate: float
    clip_factor: float = 1.0
    validation: float | None = None
    losses: Array | None = None
    norms: Mapping[str, ParameterNorms] | None = None
    targets: Array | None = None

    @property
    def gradient_norm(self) -> float | None:
        """The global norm of the gradient before clipping; None where nothing was watched."""
        return None if self.norms is None else hypot(*(one.gradient for one in self.norms.values()))

    def __repr__(self) -> str:
        held = "" if self.validation is None else f", validation {self.validation:.4f}"
        return f"TrainStep({self.index}: loss {self.loss:.4f}{held}, {self.tokens} tokens)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrainStep):
            return NotImplemented
        return all(_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]


def _equal(a: Any, b: Any) -> bool:
    if any(isinstance(value, np.ndarray) for value in (a, b)):
        return a is not None and b is not None and np.array_equal(a, b)
    return a == b
