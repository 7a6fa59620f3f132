"""A user's training file run with the doctor attached: `python -m minilm.doctor.run_file FILE RECORD STEPS`.

It runs in a process of its own, as the user would run it; the doctor finds model and optimizer as they are
used. What was seen is written even where the file fails, and the file's own error is shown as it is.
"""

from __future__ import annotations

import ast
import runpy
import sys
from contextlib import ExitStack
from pathlib import Path

from minilm.doctor import attach_tensorflow, attach_torch
from minilm.doctor.records import save
from minilm.doctor.watching import Enough, Watching

__all__ = ["frameworks_of", "main"]

FRAMEWORKS = {"torch": attach_torch, "tensorflow": attach_tensorflow}

MEANT = {"torch": "torch", "tensorflow": "tensorflow", "keras": "tensorflow"}


def frameworks_of(source: str) -> list[str]:
    """The frameworks that a source imports, torch first: the other order aborts with some builds.

    >>> frameworks_of("from keras import layers")
    ['tensorflow']
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return [name for name in FRAMEWORKS if name in {MEANT.get(one) for one in names}]


def main(file: str, record: str, steps: int, arguments: list[str]) -> None:
    """Run the file until its end or until so many steps were seen; write the records."""
    watched: list[Watching] = []
    sys.argv, sys.path[0] = [file, *arguments], str(Path(file).resolve().parent)
    try:
        with ExitStack() as stack:
            for name in frameworks_of(Path(file).read_text("utf-8")):
                watched.append(stack.enter_context(FRAMEWORKS[name](limit=steps)))
            runpy.run_path(file, run_name="__main__")
    except Enough:
        pass
    except Exception:  # a traced step cannot hand Enough on: TensorFlow makes an error of its own of it
        if not any(watching.steps >= steps for watching in watched):
            raise
    finally:
        save((one for watching in watched for one in watching.records), record)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
