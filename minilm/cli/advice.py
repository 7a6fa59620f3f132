"""The line to type after a common mistake, added to what the command says about it."""

from __future__ import annotations

import re

__all__ = ["add_advice"]

# What a message says, and the advice for it. Groups of the first are filled into the second.
_ADVICE = (
    (r"'(\d+),(\d+)' is not a valid float", r"write \1.\2, with a point"),
    (r"'[a-z]+' is not a valid float", "give a number such as 0.8"),
    (r"'(?i:pytorch)'", "PyTorch is called torch here: --backend torch"),
    (r"^Model folder (torch|tensorflow|numpy) does not exist", "to compare frameworks: minilm compare"),
    (
        r"^Model folder ([\w-]*gpt[\w.-]*|[\w-]+/[\w.-]+) does not exist",
        r"for a model of Hugging Face: --model hf:\1",
    ),
    (r"^A stage is written like .*, got '(\w+)'$", r"write \1() or \1(0.8)"),
    (r"^A stage is written like .*, got '(\w+)[ =]([\w.]+)'$", r"write \1(\2)"),
    (r"^compare takes: .*got (\S+\.py)$", r"minilm compare reference \1"),
    (r"^Trace \S+, line 1: not JSON", "it is no trace; make one with: minilm generate --trace run.jsonl"),
)

# After `minilm generate`, a word that belongs to nothing is nearly always a part of the prompt.
_UNQUOTED = re.compile(r"^Got unexpected extra arguments? \((.*)\)")


def add_advice(message: str, command: str = "") -> str:
    """Return a message with the line to type, where the mistake is a common one.

    >>> add_advice("Invalid value for '--temperature': '0,8' is not a valid float.")
    "Invalid value for '--temperature': '0,8' is not a valid float; write 0.8, with a point"

    Args:
        message: what the command says, one line.
        command: the words of the command, such as "minilm generate".
    """
    for pattern, advice in _ADVICE:
        if found := re.search(pattern, message):
            return f"{message.rstrip('.')}; {found.expand(advice)}"
    if command.endswith("generate") and (found := _UNQUOTED.match(message)):
        return f'{message}; put the prompt in quotes: --prompt "Once upon a time"'
    return message
