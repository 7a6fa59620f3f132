"""The generation loop, as a generator of frozen steps."""

from minilm.generation.cursor import Cursor, start, stream
from minilm.generation.session import Session, open_session
from minilm.generation.settings import Settings

__all__ = [
    "Cursor",
    "Session",
    "Settings",
    "open_session",
    "start",
    "stream",
]
