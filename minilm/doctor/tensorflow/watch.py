"""What a TensorFlow loop's calls and updates tell the doctor, put together to one observation a step.

Eager or traced alike: a traced step hands its tensors to Python at its end. Who puts the watched calls in
the place of Keras's is tensorflow_attach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minilm.backends.tensorflow.net import keras, tf
from minilm.doctor.batch import batch_digest, continuing, is_close, look_at, moved_rows
from minilm.doctor.records import Look, Observation
from minilm.doctor.tensorflow.facts import Facts, is_state, plain
from minilm.doctor.watching import Watching, axes_of, shares
from minilm.records import Array

__all__ = ["Watch"]


class Watch:
    """What is known of the step that is under way, or that is being traced."""

    def __init__(self, model: Any, optimizer: Any, watching: Watching) -> None:
        self.model, self.optimizer, self.watching = model, optimizer, watching
        self.step = 1
        self.begun: Any = None  # steps that the optimizer had taken before
        self.call: dict[str, Any] | None = None
        self.found: dict[str, Any] | None = None
        self.last_look: Look | None = None
        self.last: dict[str, Any] = {}

    def called(self, layer: Any, args: tuple[Any, ...], options: dict[str, Any], outputs: Any) -> Any:
        """Keep what the model read and answered, behind a tap that sees the gradient at its logits."""
        if self.model is None and _reads_ids(layer, args):
            self.model = layer
        if layer is not self.model or not args or isinstance(args[0], keras.KerasTensor):
            return outputs
        held = {
            "ids": tf.convert_to_tensor(args[0]),
            "rest": args[1:],
            "training": bool(options.get("training")),
        }
        held["slopes"] = slopes = []
        parts = tf.nest.flatten(outputs)

        @tf.custom_gradient
        def tap(values: Any) -> Any:
            def pass_on(slope: Any) -> Any:
                slopes.append(slope)
                return slope

            return tf.identity(values), pass_on

        held["logits"] = parts[0]
        self.call = held
        return tf.nest.pack_sequence_as(outputs, [tap(parts[0]), *parts[1:]])

    def differentiated(self, loss: Any, sources: Any, gradients: Any) -> None:
        """Keep the loss and the gradients as the tape gave them."""
        if self.call is None or self.model is None or not isinstance(sources, (list, tuple)):
            return
        held = {id(plain(one)): gradient for one, gradient in zip(sources, gradients, strict=True)}
        self.found = self.call | {"loss": tf.reduce_sum(loss), "raw": held}

    def applied(self, optimizer: Any, apply: Any, gradients: list[Any], variables: Any) -> Any:
        """Update, and put the step on record, now or each time that the trace runs."""
        if self.found is None or self.optimizer not in (None, optimizer):
            return apply(optimizer, gradients, variables)
        if self.begun is None:
            with tf.init_scope():  # its first step here need not be its first at all
                self.begun = int(optimizer.iterations)
        self.optimizer, found, self.found, self.call = optimizer, self.found, None, None
        targets = list(variables if variables is not None else optimizer._trainable_variables)
        used = dict(zip((id(plain(one)) for one in targets), gradients, strict=True))
        weights = [plain(one) for one in self.model.trainable_variables]
        before = [tf.identity(one) for one in weights]
        raw = [_norm(found["raw"].get(id(one))) for one in weights]
        kept = [self.clipped(_norm(used.get(id(one)))) for one in weights]
        answer = apply(optimizer, gradients, variables)
        after = [one.read_value() for one in weights]
        moved = [tf.norm(new - old) for new, old in zip(after, before, strict=True)]
        slope = found["slopes"][-1] if found["slopes"] else tf.zeros_like(found["logits"])
        table = self.facts.place_of_table
        rows = [] if table is None else [before[table], after[table]]
        rest = [one for one in tf.nest.flatten(found["rest"]) if tf.is_tensor(one) and one.dtype.is_floating]
        carried = tf.reduce_any([tf.reduce_any(one != 0) for one in rest]) if rest else tf.constant(False)
        numbers = [tf.stack(one) for one in (raw, kept, moved, [tf.norm(one) for one in before])]
        given = [found["ids"], found["logits"], slope, found["loss"], carried, *numbers, *rows]
        fixed = {"training": found["training"], "rest": found["rest"] if tf.executing_eagerly() else ()}

        def record(*values: Any) -> None:
            self.record(fixed, *[np.asarray(value) for value in values])

        if tf.executing_eagerly():
            record(*given)
        else:
            tf.numpy_function(record, given, [])
        return answer

    def clipped(self, norm: Any) -> Any:
        """A gradient's norm after what the optimizer itself clips, each variable alone."""
        bound = getattr(self.optimizer, "clipnorm", None)
        return norm if bound is None else tf.minimum(norm, tf.cast(bound, norm.dtype))

    def record(
        self, fixed: dict[str, Any], ids: Array, logits: Array, slope: Array, loss: Array, carried: Array,
        raw: Array, used: Array, moved: Array, sizes: Array, *rows: Array,
    ) -> None:  # fmt: skip
        """One step in NumPy: an observation."""
        facts, names = self.facts, self.facts.names
        continues, look = continuing(self.last_look, ids), None
        if is_close(self.step):
            look = self.look(
                ids, logits, slope, float(loss), shares(names, moved), shares(names, sizes), rows
            )
        self.last_look = look
        self.last = {"vocab_size": facts.vocab_size(logits), "ids": ids, "rest": fixed["rest"]}
        seen = Observation(
            step=self.begun + self.step, loss=float(loss), vocab_size=self.facts.vocab_size(logits),
            batch=batch_digest(ids), raw=shares(names, raw), used=shares(names, used),
            training=fixed["training"], modal=facts.modal, carried=bool(carried), continues=continues,
            rate=float(self.optimizer.learning_rate), optimizer=type(self.optimizer).__name__,
            embedding=facts.table_name, absent=facts.absent, look=look,
        )  # fmt: skip
        self.step += 1
        self.watching.add(seen)

    def look(self, ids: Array, logits: Array, slope: Array, loss: float, updates: dict[str, float],
             sizes: dict[str, float], rows: Sequence[Array]) -> Look | None:  # fmt: skip
        """The close look at a step, or None where the outputs are no logits for each id."""
        vocab_size = self.facts.vocab_size(logits)
        outputs = axes_of(ids, logits, vocab_size)
        if outputs is None:
            return None
        moved = moved_rows(ids, *rows) if rows else ()
        gradient: Any = axes_of(ids, slope, vocab_size)
        look = look_at(
            ids, outputs, gradient, loss,
            updates=updates, sizes=sizes, moved=moved, gates=self.facts.gates(ids),
        )  # fmt: skip
        return look

    def end(self) -> None:
        """Probe the model on the last batch, its states and generators set back each time."""
        if self.model is None or not self.last:
            return
        states = [one for one in self.model.variables if is_state(one)]
        seeds = [(one, np.asarray(one)) for one in states if "seed" in one.path]

        def read(ids: Array) -> Array:
            outputs = tf.nest.flatten(self.model(tf.constant(ids), *self.last["rest"]))[0]
            return axes_of(ids, np.asarray(outputs), self.facts.vocab_size(outputs))  # type: ignore[return-value]

        def reseed() -> None:
            for one, value in seeds:
                one.assign(value)

        self.watching.ask(read, self.last["ids"], self.last["vocab_size"], reseed)

    @property
    def facts(self) -> Facts:
        """What is known of the model; asked anew, for a loop may change it."""
        return Facts(self.model)


def _norm(gradient: Any) -> Any:
    """Norm of a gradient, its slices summed first; 0 where there is none."""
    return tf.constant(0.0) if gradient is None else tf.norm(tf.convert_to_tensor(gradient))


def _reads_ids(layer: Any, args: tuple[Any, ...]) -> bool:
    if not isinstance(layer, keras.Model) or not args or isinstance(args[0], keras.KerasTensor):
        return False
    ids = tf.convert_to_tensor(args[0])
    return ids.shape.rank == 2 and ids.dtype.is_integer
