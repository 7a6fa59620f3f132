"""The records: frozen values that a model answers with and that a loop yields.

A record computes only what follows from its own fields. It holds no clock time, so that two equal runs give
equal records.

Letters of shapes: B batch, T time, V vocabulary, E embedding, H hidden. Entropies and losses are in nats.
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
    """Return a read-only view of an array.

    The numbers are copied only where `values` is no array yet or where its dtype must change.

    Args:
        values: an array, or anything that NumPy makes one of.
        dtype: the dtype of the view; None keeps the dtype of `values`.

    >>> frozen_array([1, 2]).flags.writeable
    False
    """
    view = np.asarray(values, dtype=dtype).view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class OptimizerConfig:
    """The parameters of Adam, whose formula is the same in every backend.

    Attributes:
        beta1: share of the old first moment (the mean of the gradients) that is kept at each update.
        beta2: share of the old second moment (the mean of the squared gradients) that is kept.
        epsilon: added to the bias-corrected root of the second moment, so that nothing is divided by 0.

    Source: Kingma and Ba (2015), "Adam: A Method for Stochastic Optimization".
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of an LSTM language model, and the seed of its first weights.

    Attributes:
        vocab_size: V, the number of token ids.
        embedding_size: E, the numbers in one token's embedding.
        hidden_size: H, the units of each LSTM layer.
        layers: the number of LSTM layers, one on top of the other.
        dropout: probability that training sets an output of an LSTM layer to 0; it acts after every layer.
        seed: whole number from which the first weights are drawn.
        optimizer: the parameters of Adam.
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
    """A model's answer when it reads T tokens.

    Attributes:
        logits: (1, V) for the last token read, or (T, V) for every token, as asked.
        embeddings: (T, E), the embedding of each token read.
        state: the model's memory after the last token, in a form that only the model knows. Give it to
            `read` to go on from here. Reading on does not change it, so it can be used again.
        inner: the inner arrays that were asked for, by name, such as "gates.0".
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
    """The loss and the gradients of one batch, before any update.

    Attributes:
        loss: nats per token; padding does not count.
        losses: (B, T) nats, the loss of each target, 0 where the mask is 0.
        arrays: canonical name -> gradient, in the shape of the parameter. A framework may make an array
            only when somebody reads it.
        native: the same gradients as the framework's own tensors, for `update`; None where there are none.
    """

    loss: float
    losses: Array
    arrays: Mapping[str, Array]
    native: Any = field(default=None, repr=False)

    @property
    def global_norm(self) -> float:
        """The root of the sum of the squares of all gradients, computed in float64."""
        return float(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in self.arrays.values())))

    def __repr__(self) -> str:
        return f"Gradients(loss {self.loss:.4f}, {len(self.arrays)} arrays)"


@record
class StageEffect:
    """One row of the ledger: what one stage did to the distribution.

    Attributes:
        stage: the stage as text, such as "TopK(40)".
        survivors: the number of tokens that it left.
        mass_kept: share of the probability before the stage that its survivors hold, 0 to 1.
        entropy: nats, of the distribution after the stage.
        chosen: change of the chosen token's log-probability, in nats; None for a forced token that the
            stage removed.
        watched: watched id -> the same change for that token, None where the stage removed it.
        note: a remark of the stage on this step, or None.
        cut: distance to its cut in nats: how far scores must move against each other before the stage
            keeps other tokens (for TopH a share of the entropy). None where the stage compared nothing.
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
    """The stage that removed a token, and the comparison that the token failed.

    Attributes:
        stage: the stage as text, such as "MinP(0.05)".
        why: the numbers that it compared, such as "0.012 < 0.05 x 0.31".
    """

    stage: str
    why: str


@record
class Candidate(Shown):
    """One token that could have been next.

    Attributes:
        id: the token's number.
        text: what the token adds to the text.
        bytes: the same as bytes; a token may be a part of a character.
        logit: the model's own score, before any stage.
        p_model: the model's own probability: softmax of the logits at temperature 1, before any stage.
        logp_model: its logarithm, in nats.
        p_tempered: probability just after the Temperature stage; p_model where there is none.
        p_final: probability in the final distribution, which the draw was made from.
        rank: place among the whole vocabulary by logit; 1 is the highest.
        removed_by: the stage that removed the token and the reason; None for a survivor.
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
    """A distribution in three numbers.

    Attributes:
        entropy: nats.
        k_used: adaptive k: how many of the most likely tokens hold a mass of 0.95 together, but at least 8
            and at most 64 (numerics.py).
        mass_used: the probability that these k_used tokens hold together, 0 to 1.
    """

    entropy: float
    k_used: int
    mass_used: float


@record
class Decision(Shown):
    """The choice of one token.

    Attributes:
        candidates: tokens to show, the highest logit first; the chosen and the watched ones are always
            among them.
        stages: what each stage did, in the order in which they ran.
        survivors: the number of tokens left after the last stage.
        raw: the model's own distribution, before any stage.
        final: the distribution that the draw was made from.
        u: the draw, in [0, 1); None where nothing was drawn (a greedy choice, or a forced token).
        interval: [low, high) of the chosen token on the cumulative final distribution, with the tokens
            in ascending order of id; None for a forced token that the stages removed.
        margin: distance of the draw to the nearer end of the interval, min(u - low, high - u); None where
            nothing was drawn.
        chosen: the chosen token.
        reason: why it was chosen, in words.
        forced: True where the user gave the token, so that nothing was chosen.
        fragile: True where a change of 1e-5 in the logits, as between two frameworks, can choose another
            token.
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
        """The smallest distance of any stage to its cut; None where no stage compared anything."""
        return min((effect.cut for effect in self.stages if effect.cut is not None), default=None)

    def __repr__(self) -> str:
        chosen = self.chosen
        return (
            f"Decision(chose {chosen.text!r} {chosen.id}, p {chosen.p_final:.3f}, rank {chosen.rank}, "
            f"{self.survivors} survivors: {self.reason})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The embedding of the id that was read.

    Attributes:
        shape: the shape of the vector, (E,).
        norm: its Euclidean norm.
        vector: (E,), the embedding itself.
        cosine: cosine to the embedding of the token before, -1 to 1; None for the first token of a text.
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
    """One step of a generation: one token was read, and the next one was chosen.

    Attributes:
        index: number of the generated token, from 0.
        position: place in the whole sequence of the id that was read, from 0.
        id: the id that was read.
        text: what that token adds to the text.
        bytes: the same as bytes.
        embedding: the embedding of the id that was read.
        decision: how the next token was chosen.
        new_text: the text that the chosen token completes; "" inside a character.
        offset: where new_text begins in the generated text, in bytes of UTF-8.
        finish: why the generation ends here: "eos", "stop", "constraint", "length" or "context"; None
            where it goes on.
        branch: number of the branch whose dice gave the draw; 0 is the first run.
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
    """The Euclidean norms of one parameter in one training step.

    Attributes:
        gradient: norm of its gradient, before clipping.
        update: norm of the difference between the weights after and before the step.
        weight: norm of the weights after the step.
    """

    gradient: float
    update: float
    weight: float

    @property
    def ratio(self) -> float:
        """The norm of the update divided by the norm of the weights; infinite for weights of norm 0."""
        return self.update / self.weight if self.weight else float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class TrainStep(Shown):
    """One training step.

    The last three fields are filled only when the training is watched, and are None otherwise.

    Attributes:
        index: number of the step, from 1.
        ids: (B, T), the inputs of the batch.
        loss: nats per token; padding does not count.
        tokens: number of targets seen since the start of the training.
        rate: the learning rate of this step.
        clip_factor: number that the gradients were multiplied by; 1 where they were not clipped.
        validation: nats per token on text that the model does not train on; None where it was not
            measured after this step.
        losses: (B, T) nats, the loss of each target.
        norms: canonical name -> norms of that parameter.
        targets: (B, T) ids, -1 where a target does not count.
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
        """The global norm of the gradient before clipping; None where the step was not watched."""
        return None if self.norms is None else hypot(*(one.gradient for one in self.norms.values()))

    def __repr__(self) -> str:
        validation = "" if self.validation is None else f", validation {self.validation:.4f}"
        return f"TrainStep({self.index}: loss {self.loss:.4f}{validation}, {self.tokens} tokens)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrainStep):
            return NotImplemented
        return all(_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]


def _equal(a: Any, b: Any) -> bool:
    if any(isinstance(value, np.ndarray) for value in (a, b)):
        return a is not None and b is not None and np.array_equal(a, b)
    return a == b
