"""Attach the doctor to a TensorFlow loop: Keras's calls and updates are watched while a `with` block runs.

It works for eager and for traced steps, but a step that was traced before cannot be watched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from minilm.backends.tensorflow.net import keras, tf
from minilm.doctor.tensorflow.watch import Watch
from minilm.doctor.watching import Watching

__all__ = ["attach"]


@contextmanager
def attach(model: Any = None, optimizer: Any = None, *, limit: int | None = None) -> Iterator[Watching]:
    """Watch a training loop while the `with` block runs; at its end the model is probed.

    Args:
        model: A Keras model that is called with ids (B, T) and answers with logits (B, T, V), alone or first
            in a tuple; None to find it at its first call.
        optimizer: Its optimizer; None to find it at its first update.
        limit: Number of steps after which Enough is raised; None for no limit.

    Yields:
        The records of the run.
    """
    watching = Watching(limit)
    watch = Watch(model, optimizer, watching)
    call, apply, compile_model = keras.Layer.__call__, keras.optimizers.Optimizer.apply, keras.Model.compile
    gradient = tf.GradientTape.gradient

    def watched_call(layer: Any, *args: Any, **options: Any) -> Any:
        outputs = call(layer, *args, **options)
        watched = watching.guard(watch.called, layer, args, options, outputs)
        return outputs if watched is None else watched

    def watched_apply(self: Any, grads: Any, trainable_variables: Any = None) -> Any:
        return watch.applied(self, apply, list(grads), trainable_variables)

    def watched_gradient(tape: Any, target: Any, sources: Any, *args: Any, **options: Any) -> Any:
        gradients = gradient(tape, target, sources, *args, **options)
        watching.guard(watch.differentiated, target, sources, gradients)
        return gradients

    def watched_compile(self: Any, *args: Any, **options: Any) -> Any:
        # XLA calls no Python, so Keras's fit must not use it.
        return compile_model(self, *args, **options | {"jit_compile": False})

    # Keras's losses look this function up in its internal module.
    keras_ops: Any = import_module("keras.src.ops")
    keras_loss = keras_ops.sparse_categorical_crossentropy
    tf_loss = tf.nn.sparse_softmax_cross_entropy_with_logits

    def watched_keras_loss(target: Any, output: Any, from_logits: bool = False, **options: Any) -> Any:
        watching.guard(watch.saw_loss, "logits" if from_logits else "probabilities", output)
        return keras_loss(target, output, from_logits=from_logits, **options)

    def watched_tf_loss(labels: Any, logits: Any, name: Any = None) -> Any:
        if not watch.loss_takes:
            watching.guard(watch.saw_loss, "logits", logits)
        return tf_loss(labels, logits, name)

    with ExitStack() as stack:
        for where, name, replacement in (
            (keras_ops, "sparse_categorical_crossentropy", watched_keras_loss),
            (tf.nn, "sparse_softmax_cross_entropy_with_logits", watched_tf_loss),
            (keras.Layer, "__call__", watched_call),
            (keras.optimizers.Optimizer, "apply", watched_apply),
            (tf.GradientTape, "gradient", watched_gradient),
            (keras.Model, "compile", watched_compile),
        ):
            stack.enter_context(patch.object(where, name, replacement))
        if model is not None and getattr(model, "compiled", False):
            stack.enter_context(patch.object(model, "jit_compile", False))
        try:
            yield watching
        finally:
            stack.close()
            watching.guard(watch.end)
