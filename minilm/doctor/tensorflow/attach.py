"""The doctor at a TensorFlow loop: Keras's calls and updates are watched for as long as a `with` lasts.

Eager or traced alike: a traced step hands its tensors to Python at its end. A step that was traced before
cannot be watched. Keras fit's jit_compile is switched off meanwhile, for XLA calls no Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from minilm.backends.tensorflow.net import keras, tf
from minilm.doctor.tensorflow.watch import Watch
from minilm.doctor.watching import Watching

__all__ = ["attach"]


@contextmanager
def attach(model: Any = None, optimizer: Any = None, *, limit: int | None = None) -> Iterator[Watching]:
    """Watch a loop over a Keras model and optimizer; both are found as they are used where not given.

    The model is called with ids (B, T) and answers with logits (B, T, V), alone or first; limit: steps
    after which Enough is raised. At the end the model is probed.
    """
    watch = Watch(model, optimizer, Watching(limit))
    call, apply, compiled = keras.Layer.__call__, keras.optimizers.Optimizer.apply, keras.Model.compile
    gradient = tf.GradientTape.gradient

    def watched_call(layer: Any, *args: Any, **options: Any) -> Any:
        outputs = call(layer, *args, **options)
        return watch.called(layer, args, options, outputs)

    def watched_apply(self: Any, grads: Any, trainable_variables: Any = None) -> Any:
        return watch.applied(self, apply, list(grads), trainable_variables)

    def watched_gradient(tape: Any, target: Any, sources: Any, *args: Any, **options: Any) -> Any:
        found = gradient(tape, target, sources, *args, **options)
        watch.differentiated(target, sources, found)
        return found

    def watched_compile(self: Any, *args: Any, **options: Any) -> Any:
        return compiled(self, *args, **options | {"jit_compile": False})

    with ExitStack() as stack:
        for where, name, replacement in (
            (keras.Layer, "__call__", watched_call),
            (keras.optimizers.Optimizer, "apply", watched_apply),
            (tf.GradientTape, "gradient", watched_gradient),
            (keras.Model, "compile", watched_compile),
        ):
            stack.enter_context(patch.object(where, name, replacement))
        if model is not None and getattr(model, "compiled", False):
            stack.enter_context(patch.object(model, "jit_compile", False))
        try:
            yield watch.watching
        finally:
            stack.close()
            watch.end()
