"""Recorded runs: write them, read them, compare them, replay them and check them."""

from minilm.trace.reader import Trace, read_trace
from minilm.trace.writer import TraceWriter

__all__ = [
    "Trace",
    "TraceWriter",
    "read_trace",
]
