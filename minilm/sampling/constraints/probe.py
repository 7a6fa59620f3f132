"""Try a grammar in a process of its own first, because a hostile one may never end, or crash its process.

llguidance limits its parser and lexer, but not every compilation, and deep rules overflow its stack.
"""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from minilm.errors import first_line

__all__ = ["LIMITS", "shorten", "try_grammar"]

# What a hostile constraint may use; each limit keeps a step well under a second.
LIMITS: dict[str, Any] = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "step_max_items": 20_000,
    "max_items_in_row": 2_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 100_000,
    "verbose_errors": False,
}

# Processor time, so that a busy machine does not use it up; a grammar may use it three times in all.
_SECONDS = 0.4

_MEGABYTES = 250

# Seconds after which even a busy machine is not waited for.
_WALL = 10 if find_spec("resource") else 2

# The stack is 1 MB, less than a thread has elsewhere, so what fits in it fits everywhere.
_SCRIPT = f"""
import sys, threading
from llguidance import LLMatcher, LLTokenizer, LLParserLimits
try:
    import resource, signal
    signal.setitimer(signal.ITIMER_PROF, {_SECONDS})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, ({_MEGABYTES << 20}, {_MEGABYTES << 20}))
except (ImportError, ValueError):
    pass  # Windows has none of them, macOS no bound of memory
lark = sys.stdin.buffer.read().decode()
def walk():
    matcher = LLMatcher(LLTokenizer("byte"), lark, log_level=0, limits=LLParserLimits(**{LIMITS!r}))
    for _ in range(20):
        mask = b"" if matcher.is_error() else matcher.compute_logit_bias()
        allowed = [i for i, bias in enumerate(mask[:256]) if bias]
        if matcher.is_error() or not allowed or not matcher.consume_token(allowed[0]):
            break
    sys.stdout.buffer.write(matcher.get_error().encode())
threading.stack_size(1 << 20)
thread = threading.Thread(target=walk)
thread.start()
thread.join()
"""

_LIMIT_WORDS = ("too many", "too big", "too large", "max is", "limit exceeded", "fuel")


@lru_cache(maxsize=64)
def try_grammar(lark: str) -> str:
    """Return why a grammar must not be run in this process, or ""."""
    command = [sys.executable, "-I", "-c", _SCRIPT]
    try:
        done = subprocess.run(command, input=lark.encode(), capture_output=True, timeout=_WALL, check=False)
    except subprocess.TimeoutExpired:
        return "it takes too long to prepare; make it smaller"
    if done.returncode == 0:
        said = done.stdout.decode()
        return said and shorten(said)
    # Ended by SIGKILL or SIGPROF.
    if -done.returncode in (9, 27):
        return f"it takes more than {_SECONDS} s to prepare; make it smaller"
    return "it nests or repeats more than llguidance can take; make it flatter"


def shorten(message: str) -> str:
    """Return an error of llguidance in one line that a terminal can show, with what to do about a limit."""
    if message.startswith("NoExtension"):
        return "no text fits it to its end; give each rule a way to end"
    text = message.split("<state>")[0].strip().removesuffix("<non-verbose/>")
    shown = first_line(text, join=True) or "unknown error of llguidance"
    return f"{shown}; make it smaller" if any(word in shown for word in _LIMIT_WORDS) else shown
