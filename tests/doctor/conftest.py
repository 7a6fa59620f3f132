"""The broken trainings of the course, which lie outside of the package, can be imported by these tests."""

import sys
from pathlib import Path

BROKEN_TRAININGS = Path(__file__).resolve().parents[2] / "lessons" / "broken_trainings"

sys.path.insert(0, str(BROKEN_TRAININGS))
