"""Recorded runs: write them, read them, compare them, replay them and check them.

schema.py       what each line of a trace holds; a trace is a file of JSON lines
writer.py       writes one; reader.py and validate.py read one
vocabulary.py   the tokens' names, and logits.py the logits, in files beside it
diff.py         compares two traces
replay.py       decides the steps again from the logits; sweep.py: with other values of a parameter
resume.py       goes on from a trace with its model
audit/          checks that the numbers of a trace agree with each other
"""

from minilm.trace.reader import Trace, read_trace
from minilm.trace.writer import TraceWriter

__all__ = [
    "Trace",
    "TraceWriter",
    "read_trace",
]
