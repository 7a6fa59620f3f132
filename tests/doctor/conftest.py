"""These tests can import the broken trainings of the course and the foreign loops beside this file."""

import sys
from pathlib import Path

BROKEN_TRAININGS = Path(__file__).resolve().parents[2] / "lessons" / "broken_trainings"

sys.path[:0] = [str(BROKEN_TRAININGS), str(Path(__file__).parent)]
