"""The generation loop, as a generator of frozen steps."""

from minilm.generation.cursor import Cursor, start, stream
from minilm.generation.session import Session, open_session
from minilm.generation.settings import Settings
from minilm.generation.trace import TraceWriter
from minilm.generation.trace_reading import Trace, read_trace

__all__ = [
    "Cursor",
    "Session",
    "Settings",
    "Trace",
    "TraceWriter",
    "open_session",
    "read_trace",
    "start",
    "stream",
]
