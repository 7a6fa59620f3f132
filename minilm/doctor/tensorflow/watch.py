"""Observe a TensorFlow step: turn what its calls and updates show into one observation.

It works for eager and for traced steps: a traced step hands its tensors to Python at its end. attach.py
replaces Keras's methods by the watched ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minilm.backends.tensorflow.net import keras, tf
from minilm.doctor.batch import (
    LossCall,
    digest_batch,
    has_details,
    measure_embedding_changes,
    measure_saturation,
    measure_step,
    share_continued,
    without_outputs,
)
from minilm.doctor.records import Observation, StepDetails
from minilm.doctor.watching import Watching, norms_by_name, order_axes
from minilm.records import Array

__all__ = ["Watch"]


@dataclass(frozen=True)
class _Call:
    """One call of the model: ids (B, T), its other arguments, its logits, and the gradients at them."""

    ids: Any
    other_arguments: tuple[Any, ...]
    options: dict[str, Any]
    training: bool
    logits: Any
    logit_gradients: list[Any]


@dataclass(frozen=True)
class _Backward:
    """One call of the tape: the model's call before it, the loss, and the gradients by id of the variable."""

    call: _Call
    loss: Any
    raw: dict[int, Any]
    passes: int = 1


class Watch:
    """The facts about the step that is running, or that is being traced.

    Args:
        model: The Keras model to watch; None to take the first one that is called with ids.
        optimizer: The optimizer to watch; None to take the first one that is used.
        watching: Where the observations go.
    """

    def __init__(self, model: Any, optimizer: Any, watching: Watching) -> None:
        self.model, self.optimizer, self.watching = model, optimizer, watching
        self.step, self.sliced = 1, False
        self.other_arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        # Steps that the optimizer had made before it was watched.
        self.earlier_steps: Any = None
        # Names of the variables that other optimizers update.
        self.elsewhere: set[str] = set()
        # What the loss function expects, and how far what it got is from sums of 1.
        self.loss_takes, self.loss_sums = "", None
        self.call: _Call | None = None
        self.backward: _Backward | None = None
        self.last_details: StepDetails | None = None
        # ids, vocab_size, the other arguments and the named ones of the last step, for the probes.
        self.last: tuple[Array, int, tuple[Any, ...], dict[str, Any]] | None = None

    def called(self, layer: Any, args: tuple[Any, ...], options: dict[str, Any], outputs: Any) -> Any:
        """Keep what the model read and answered.

        Returns:
            The outputs; the logits pass through an identity that keeps the gradient at them.
        """
        first = _first_input(args, options)
        if self.model is None and _reads_ids(layer, first):
            self.model = layer
        if layer is not self.model or first is None or isinstance(first, keras.KerasTensor):
            return outputs
        logits, *others = tf.nest.flatten(outputs)
        # No annotation here: TensorFlow cannot trace a function that annotates a nonlocal name.
        gradients = []

        @tf.custom_gradient
        def keep_gradient(values: Any) -> Any:
            def pass_on(gradient: Any) -> Any:
                gradients.append(gradient)
                return gradient

            return tf.identity(values), pass_on

        ids = tf.convert_to_tensor(first)
        named = {name: value for name, value in options.items() if name != "training" and value is not first}
        self.call = _Call(ids, args[1:], named, bool(options.get("training")), logits, gradients)
        self.loss_takes, self.loss_sums = "", None
        return tf.nest.pack_sequence_as(outputs, [keep_gradient(logits), *others])

    def saw_loss(self, takes: str, given: Any) -> None:
        """Keep what a loss function expects, and how far from sums of 1 over V it is what it gets.

        Args:
            takes: "logits" or "probabilities".
            given: (..., V), the outputs that it gets.
        """
        values = tf.cast(tf.convert_to_tensor(given), tf.float32)
        self.loss_takes = takes
        self.loss_sums = tf.stack(
            [tf.reduce_max(tf.abs(tf.reduce_sum(values, -1) - 1)), -tf.reduce_min(values)]
        )

    def differentiated(self, loss: Any, sources: Any, gradients: Any) -> None:
        """Keep the loss, and the gradients as the tape gave them."""
        if self.call is None or self.model is None or not isinstance(sources, (list, tuple)):
            return
        raw = {id(_variable(one)): gradient for one, gradient in zip(sources, gradients, strict=True)}
        total = tf.reduce_sum(tf.cast(loss, tf.float32))
        passes = 1
        if self.backward is not None and tf.executing_eagerly():
            # Gradients are accumulated: the loss of the step is the sum of its passes.
            total, passes = total + self.backward.loss, self.backward.passes + 1
        self.backward = _Backward(self.call, total, raw, passes)

    def applied(self, optimizer: Any, apply: Callable[..., Any], gradients: list[Any], variables: Any) -> Any:
        """Make the update, and record the step: now, or each time that the trace runs."""
        updated = variables if variables is not None else optimizer._trainable_variables
        if self.optimizer not in (None, optimizer) and self.model is not None:
            self.elsewhere |= {_name(one) for one in updated}
        if self.backward is None or self.optimizer not in (None, optimizer):
            return apply(optimizer, gradients, variables)
        before = self.watching.guard(self._before_update, optimizer, gradients, updated)
        answer = apply(optimizer, gradients, variables)
        if before is not None:
            self.watching.guard(self._after_update, *before)
        return answer

    def _before_update(self, optimizer: Any, gradients: list[Any], updated: Any) -> tuple[Any, ...] | None:
        """Return the backward pass, the gradient norms and the weights before an update."""
        if self.earlier_steps is None:
            # The optimizer may have made steps before it was watched.
            with tf.init_scope():
                self.earlier_steps = int(optimizer.iterations)
        backward = self.backward
        if backward is None:
            return None
        self.optimizer = optimizer
        self.backward = self.call = None
        used = dict(zip((id(_variable(one)) for one in updated), gradients, strict=True))
        weights = [_variable(one) for one in self.model.trainable_variables]
        raw_norms = [_norm(backward.raw.get(id(one))) for one in weights]
        used_norms = [self._clipped(_norm(used.get(id(one)))) for one in weights]
        place = self.facts.place_of_embedding
        self.sliced = place is not None and isinstance(used.get(id(weights[place])), tf.IndexedSlices)
        return backward, raw_norms, used_norms, weights, [tf.identity(one) for one in weights]

    def _after_update(
        self, backward: _Backward, raw: list[Any], used: list[Any], weights: list[Any], before: list[Any]
    ) -> None:
        """Record an update, from the norms and the weights before it."""
        after = [one.read_value() for one in weights]
        updates = [_size(new - old) for new, old in zip(after, before, strict=True)]
        place = self.facts.place_of_embedding
        tables = [] if place is None else [tf.cast(one[place], tf.float32) for one in (before, after)]
        norms = [raw, used, updates, [_size(one) for one in before]]
        self._record_tensors(backward, [tf.stack(one) for one in norms], tables)

    def _record_tensors(self, backward: _Backward, norms: list[Any], tables: list[Any]) -> None:
        """Hand the tensors of a step to `record`, at once or from inside the trace."""
        call = backward.call
        states = [one for one in tf.nest.flatten(call.other_arguments) if tf.is_tensor(one)]
        nonzero = [tf.reduce_any(one != 0) for one in states if one.dtype.is_floating]
        carried = tf.reduce_any(nonzero) if nonzero else tf.constant(False)
        gradient = call.logit_gradients[-1] if call.logit_gradients else tf.zeros_like(call.logits)
        takes, sums = self.loss_takes, self.loss_sums
        sums = tf.constant([9.0, 9.0]) if sums is None else sums
        wide = [tf.cast(one, tf.float32) for one in (call.logits, gradient)]
        tensors = [call.ids, *wide, backward.loss, carried, sums, *norms, *tables]
        # Tensors of a trace have no value after it.
        eager = tf.executing_eagerly()
        self.other_arguments = (call.other_arguments, call.options) if eager else ((), {})

        def record(*values: Any) -> None:
            arrays = [np.asarray(value) for value in values]
            self.watching.guard(self.record, call.training, takes, backward.passes, *arrays)

        if eager:
            record(*tensors)
        else:
            tf.numpy_function(record, tensors, [])

    def _clipped(self, norm: Any) -> Any:
        """Return a gradient's norm after the optimizer's own clip of each variable alone."""
        bound = getattr(self.optimizer, "clipnorm", None)
        return norm if bound is None else tf.minimum(norm, tf.cast(bound, norm.dtype))

    def record(
        self, training: bool, takes: str, passes: int, ids: Array, logits: Array, gradient: Array,
        loss: Array, carried: Array, sums: Array, raw: Array, used: Array, updates: Array, sizes: Array,
        *tables: Array,
    ) -> None:  # fmt: skip
        """Record one step, given in NumPy.

        Args:
            training: The model's mode.
            takes: What the loss function expects; "" if unknown.
            passes: Number of backward passes before the update.
            ids: (B, T).
            logits: (B, T, V).
            gradient: (B, T, V), the gradient at the logits.
            loss: (), the loss.
            carried: (), True where the model got a state that is not zero.
            sums: (2,), how far what the loss function got is from sums of 1, and minus its smallest value.
            raw: Gradient norms of the trainable variables from the tape.
            used: The same norms as the update used them.
            updates: The norms of their updates.
            sizes: Their norms before the update.
            tables: The embedding (V, E) before and after the update, or nothing.
        """
        facts = self.facts
        names, vocab_size = facts.names, facts.vocab_size(logits)
        continues, details = share_continued(self.last_details, ids), None
        unseen = ""
        if has_details(self.step):
            measured: dict[str, Any] = {
                "updates": norms_by_name(names, updates),
                "sizes": norms_by_name(names, sizes),
                "moved": measure_embedding_changes(ids, *tables) if tables else (),
                "gates": facts.saturation(ids),
            }
            outputs = order_axes(ids, logits, vocab_size)
            slopes = order_axes(ids, gradient, vocab_size)
            if outputs is None or slopes is None:
                details, unseen = without_outputs(**measured), f"the net answers {logits.shape}"
            else:
                gets = "probabilities" if sums[0] < 1e-2 and sums[1] <= 1e-6 else "logits"
                call = LossCall(takes, gets if takes else "")
                # A net that answers once per row answers for the row's last id.
                read = ids if outputs.shape[:2] == ids.shape else ids[:, -1:]
                details = measure_step(read, outputs, slopes, float(loss) / passes, call, **measured)
        self.last_details = details
        self.last = (ids, vocab_size, *self.other_arguments)
        observation = Observation(
            step=self.earlier_steps + self.step, loss=float(loss), vocab_size=vocab_size,
            batch=digest_batch(ids), raw=norms_by_name(names, raw), used=norms_by_name(names, used),
            training=training, modal=facts.modal, carried=bool(carried), continues=continues,
            rate=float(self.optimizer.learning_rate), optimizer=type(self.optimizer).__name__,
            embedding=facts.embedding_name, look=details, frozen=facts.frozen, passes=passes,
            sliced=self.sliced, unseen=unseen,
        )  # fmt: skip
        self.step += 1
        self.watching.add(observation)

    def end(self) -> None:
        """Probe the model on the last batch; its seeds are reset before each reading."""
        if self.model is None or self.last is None:
            return
        self._leave_out_elsewhere()
        ids, vocab_size, other_arguments, options = self.last
        seeds = [one for one in self.model.variables if _is_state(one) and "seed" in one.path]
        first_seeds = [np.asarray(one) for one in seeds]

        def read(ids: Array) -> Array:
            outputs = tf.nest.flatten(self.model(tf.constant(ids), *other_arguments, **options))[0]
            return order_axes(ids, np.asarray(outputs), vocab_size)  # type: ignore[return-value]

        def reseed() -> None:
            # tf.nn.dropout draws from the global seed, Keras's layers from seeds of their own.
            tf.random.set_seed(0)
            for seed, value in zip(seeds, first_seeds, strict=True):
                seed.assign(value)

        self.watching.probe(read, ids, vocab_size, reseed)

    def _leave_out_elsewhere(self) -> None:
        """Take out of the details what another optimizer updates: those updates were not seen."""
        for place, record in enumerate(self.watching.records):
            if not self.elsewhere or not isinstance(record, Observation) or record.look is None:
                continue
            kept = {name: norm for name, norm in record.look.updates.items() if name not in self.elsewhere}
            self.watching.records[place] = replace(record, look=replace(record.look, updates=kept))

    @property
    def facts(self) -> Facts:
        """The facts about the model; read again each time, because a loop may change it."""
        return Facts(self.model)


class Facts:
    """The facts that the doctor reads from a Keras model: its embedding, its gates, what gets no update."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def parts(self) -> list[Any]:
        """The model and every layer in it; Keras builds layers at their first call."""
        return list(self.model._flatten_layers())

    @property
    def embedding(self) -> Any:
        """The first embedding layer, or None."""
        return next((part for part in self.parts if isinstance(part, keras.layers.Embedding)), None)

    @property
    def embedding_name(self) -> str | None:
        """The name of the embedding's variable."""
        return None if self.embedding is None else _name(self.embedding.embeddings)

    @property
    def place_of_embedding(self) -> int | None:
        """The index of the embedding among the trainable variables."""
        weights = [id(_variable(one)) for one in self.model.trainable_variables]
        wanted = None if self.embedding is None else id(_variable(self.embedding.embeddings))
        return weights.index(wanted) if wanted in weights else None

    @property
    def names(self) -> list[str]:
        """The names of the trainable variables."""
        return [_name(one) for one in self.model.trainable_variables]

    @property
    def modal(self) -> bool:
        """True where training=True and training=False compute different things."""
        shares = [getattr(part, name, 0) for part in self.parts for name in ("rate", "dropout")]
        dropout = any(share > 0 for share in shares if isinstance(share, float))
        return dropout or any(isinstance(part, keras.layers.BatchNormalization) for part in self.parts)

    @property
    def frozen(self) -> tuple[str, ...]:
        """The weights that are not trainable."""
        trained = {id(_variable(one)) for one in self.model.trainable_variables}
        others = [one for one in self.model.weights if id(_variable(one)) not in trained]
        return tuple(_name(one) for one in others if not _is_state(one))

    def vocab_size(self, outputs: Any) -> int:
        """Return the number of embeddings, or the last axis of the outputs."""
        return outputs.shape[-1] if self.embedding is None else self.embedding.input_dim

    def saturation(self, ids: Array) -> dict[str, float]:
        """Return the saturation of the first LSTM's gates on ids (B, T), where it reads the embedding."""
        lstm = next((part for part in self.parts if isinstance(part, keras.layers.LSTM)), None)
        if lstm is None or not lstm.built or self.embedding is None or not lstm.use_bias:
            return {}
        cell = lstm.cell
        variables = {"kernel": cell.kernel, "recurrent": cell.recurrent_kernel, "bias": cell.bias}
        weights = {name: np.asarray(one, np.float32) for name, one in variables.items()}
        weights["embedding"] = np.asarray(self.embedding.embeddings, np.float32)
        if len(weights["kernel"]) != weights["embedding"].shape[1]:
            return {}
        return measure_saturation(ids, weights)


def _variable(variable: Any) -> Any:
    """Return TensorFlow's own variable of a Keras one."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def _name(variable: Any) -> str:
    """Return Keras's path of a variable, or TensorFlow's name."""
    return getattr(variable, "path", variable.name)


def _is_state(variable: Any) -> bool:
    """Return True for a variable that is no weight: a seed, a kept state, a moving mean."""
    words = ("seed", "state", "moving")
    return any(word in variable.path for word in words) or "int" in str(variable.dtype)


def _norm(gradient: Any) -> Any:
    """Return the norm of a gradient, its slices summed first; 0 where there is none."""
    return tf.constant(0.0) if gradient is None else _size(tf.convert_to_tensor(gradient))


def _size(values: Any) -> Any:
    """Return the norm in float32, for a loop in half precision too."""
    return tf.norm(tf.cast(values, tf.float32))


def _first_input(args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return what a model is called with: its first argument, or its first named one that is an array."""
    if args:
        return args[0]
    return next((value for value in options.values() if hasattr(value, "shape")), None)


def _reads_ids(layer: Any, first: Any) -> bool:
    """Return True for a model that is called with ids (B, T)."""
    if not isinstance(layer, keras.Model) or first is None or isinstance(first, (keras.KerasTensor, dict)):
        return False
    ids = tf.convert_to_tensor(first)
    return ids.shape.rank == 2 and ids.dtype.is_integer
