"""A face renders records and computes nothing, so it needs nothing else of minilm."""

import ast
import subprocess
import sys
from pathlib import Path

import minilm.faces

ROOM = Path(minilm.faces.__file__).parent


def test_faces_import_only_records_errors_and_one_another():
    for path in ROOM.rglob("*.py"):
        if path.name == "comparison.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                if module.startswith("minilm"):
                    assert module in ("minilm.records", "minilm.errors") or module.startswith("minilm.faces.")
                outside = module.split(".")[0]
                assert outside != "matplotlib" or path.parent.name == "plots"
                assert outside != "rich" or path.name == "live.py"


def test_printing_a_step_loads_neither_matplotlib_nor_rich():
    code = "import sys, minilm.faces.text, minilm.faces.html; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"matplotlib", "rich", "torch", "tensorflow"} & set(loaded)
