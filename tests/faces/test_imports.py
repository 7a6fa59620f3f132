"""What showing a record loads; which room may import which is held by test_import_floors.py."""

import subprocess
import sys


def test_printing_a_step_loads_neither_matplotlib_nor_rich():
    code = "import sys, minilm.faces.text, minilm.faces.html; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"matplotlib", "rich", "torch", "tensorflow"} & set(loaded)
