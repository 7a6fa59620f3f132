"""What the doctor costs at a traced TensorFlow loop: the plain loop watched, over the plain loop alone.

Each side has a loop of its own, traced before the measuring begins: the watched one while it is watched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from minilm.bench.measure import Figure, in_turns
from minilm.bench.tensorflow_training import plain_loop
from minilm.doctor.tensorflow.attach import attach

__all__ = ["figures"]


def figures(quick: bool) -> Iterator[Figure]:
    """Seconds of 25 training steps with the doctor attached, over those without; 25 % is allowed."""
    steps, runs = (5, 3) if quick else (25, 5)
    plain, watched = plain_loop(steps), plain_loop(steps)
    with ExitStack() as stack:
        stack.enter_context(attach())
        watched()
        stack.close()
        # the trace of the watched loop goes on handing its steps to Python
        yield in_turns("TensorFlow loop with the doctor / alone", watched, plain, runs, 1.25, at_least=False)
