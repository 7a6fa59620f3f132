"""TensorFlow's settings are made before TensorFlow is imported."""

import os
import subprocess
import sys

import pytest


def test_importing_the_backend_prints_nothing():
    """A fresh process without the settings; oneDNN, where it is on, says so on stderr."""
    pytest.importorskip("tensorflow")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", "import minilm.backends.tensorflow.lstm"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "oneDNN" not in done.stderr
    assert "cpu_feature_guard" not in done.stderr
