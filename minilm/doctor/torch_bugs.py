"""The bug museum's mistakes in PyTorch: the right loop with one method changed, one class per mistake.

The name of a class's check stands in BUGS; each class is read beside torch_loop.Loop.
"""

from __future__ import annotations

from minilm.doctor import torch_bugs_nets, torch_bugs_steps
from minilm.doctor.torch_loop import Loop

__all__ = ["BUGS"]

BUGS: dict[type[Loop], str] = {**torch_bugs_steps.BUGS, **torch_bugs_nets.BUGS}  # the mistake -> its check
