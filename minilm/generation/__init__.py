"""The generation loop, as a generator of frozen steps.

cursor.py       read the prompt, look at the next step, advance by one token (the token is drawn in sampling/)
settings.py     everything but the model and the prompt: stages, seed, stop texts, ids to watch
breakpoints.py  conditions at which a generation pauses
branch.py       one line of text in the debugger; session.py: several of them, and the current one
score.py        the probability of each token of a given text
"""

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
