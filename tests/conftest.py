"""What every test gets: quiet, offline, single-threaded frameworks, and the real data where it is."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores; and sums then have one order
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder named by MINILM_REAL_DATA; the test is skipped where it is not set."""
    folder = os.environ.get("MINILM_REAL_DATA")
    if not folder:
        pytest.skip("MINILM_REAL_DATA names no folder of real texts and models")
    return Path(folder)
