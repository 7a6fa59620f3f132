"""The bug museum's mistakes in TensorFlow: the right loop with one method changed, one class per mistake.

What cannot be done wrong in TensorFlow is not here: a tape's gradients are never left over, for one.
"""

from __future__ import annotations

from minilm.doctor import tensorflow_bugs_nets, tensorflow_bugs_steps
from minilm.doctor.tensorflow_loop import Loop

__all__ = ["BUGS"]

BUGS: dict[type[Loop], str] = {
    **tensorflow_bugs_steps.BUGS,
    **tensorflow_bugs_nets.BUGS,
}  # the mistake -> its check
