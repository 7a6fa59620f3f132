"""Writes a trace: what was asked, every step, and how the run ended, one line of strict JSON each.

The keys are the field names of the records (json.py has the rule). Every line is flushed as it is written,
so a crash loses at most the line that is being written. The logits, if they are kept, go to a file of their
own. The trace then also carries the vocabulary, so that a replay can name the tokens that it draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

from minilm.atomic import new_binary_file, new_file
from minilm.generation.cursor import Cursor
from minilm.records import Array, Step
from minilm.sampling import spell
from minilm.trace.json import as_json, dumps
from minilm.trace.logits import LogitsWriter, logits_path
from minilm.trace.vocabulary import trace_vocabulary

__all__ = ["TraceWriter", "new_trace"]


def _start_line(cursor: Cursor) -> dict[str, Any]:
    """Return the first line of a trace: what was asked of the run."""
    s = cursor.settings
    return {
        "start": {
            "model": cursor.model.name,
            "vocab_size": cursor.model.vocab_size,
            "prompt_ids": cursor.ids.tolist(),
            "prompt": cursor.codec.decode(cursor.ids.tolist()),
            "stages": spell(s.stages),
            "seed": s.seed,
            "top": s.top,
            "max_tokens": s.max_tokens,
            "stop": list(s.stop),
            "eos_ids": list(s.eos_ids),
            "watch": list(s.watch),
            "branch": cursor.branch,
        }
    }


class TraceWriter:
    """Writes a trace line by line. Use it as a context manager: leaving the block writes the last line.

    Of what it wrote it remembers only the ids and the text, which the last line repeats.

    Args:
        file: An open text file.
        cursor: Where the run begins.
        logits: An open, empty binary file for the logits; None to keep none.
    """

    def __init__(self, file: TextIO, cursor: Cursor, logits: BinaryIO | None = None) -> None:
        self._file = file
        self._ids: list[int] = []
        self._text: list[str] = []
        self._finish: str | None = None
        self._logits = None if logits is None else LogitsWriter(logits, cursor.model.vocab_size)
        self._write(_start_line(cursor))
        if logits is not None:
            asked = cursor.model.vocab_size, cursor.settings.stages, cursor.codec
            self._write({"vocabulary": trace_vocabulary(cursor.texts, *asked)})

    def step(self, step: Step, logits: Array | None = None) -> None:
        """Write one step, and before it its logits where they are kept.

        Args:
            step: The step.
            logits (V,): What the model answered for this step, before any stage.
        """
        if self._logits is not None and logits is not None:
            self._logits.row(logits)
        self._ids.append(step.decision.chosen.id)
        self._text.append(step.new_text)
        self._finish = step.finish
        self._write(as_json(step))

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        end = {"ids": self._ids, "text": "".join(self._text), "finish": self._finish, "steps": len(self._ids)}
        if error is not None:
            end["error"] = f"{type(error).__name__}: {error}"
        self._write({"end": end})

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(dumps(line) + "\n")
        self._file.flush()


@contextmanager
def new_trace(path: str | Path, cursor: Cursor, *, logits: bool = False) -> Iterator[TraceWriter]:
    """Create a trace file, and write to it until the block ends.

    Args:
        path: The new file. Its logits, if they are kept, are in `logits_path(path)`.
        cursor: Where the run begins.
        logits: Keep all logits too, so that the run can be replayed with other stages.

    Raises:
        MinilmError: Where a file exists already or cannot be written.
    """
    with ExitStack() as stack:
        file = stack.enter_context(new_file(Path(path), "The trace"))
        array = None
        if logits:
            array = stack.enter_context(new_binary_file(logits_path(path), "The trace"))
        yield stack.enter_context(TraceWriter(file, cursor, array))
