"""What is loaded to show a record; which package may import which is in test_import_layers.py."""

import subprocess
import sys


def test_printing_a_step_loads_neither_matplotlib_nor_rich():
    code = "import sys, minilm.faces.text, minilm.faces.html; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"matplotlib", "rich", "torch", "tensorflow"} & set(loaded)
