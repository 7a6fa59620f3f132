"""P1: a lesson opens no socket, and writes nothing outside its folder, the temporary one and the caches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSONS = sorted((ROOT / "lessons").glob("*/lesson.py"))
WATCHED = """
import os, runpy, sys
touched = open(os.environ["TOUCHED"], "a")
def watch(event, arguments):
    if event.startswith("socket."):
        touched.write(f"{event} {arguments[1:]}\\n")
    elif event == "open" and isinstance(arguments[0], str):
        mode, flags = arguments[1] or "", arguments[2] or 0
        if set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            touched.write(f"open {os.path.abspath(arguments[0])}\\n")
    elif event in ("os.mkdir", "os.remove", "os.rename"):
        touched.write(f"{event} {os.path.abspath(os.fspath(arguments[0]))}\\n")
    touched.flush()
sys.addaudithook(watch)
runpy.run_path(sys.argv[1], run_name="__main__")
"""
# urllib3, which Keras imports, asks the machine whether it has IPv6.
IPV6 = ("socket.__new__ (10, ", "socket.bind (('::1', 0)")


def watched(script, folder):
    """What a script did that it should not do: sockets, and writes outside folder and caches."""
    log = folder.parent / "touched"
    caches = dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"), str(folder))
    settings = caches | {"TOUCHED": str(log)}
    command = [sys.executable, "-c", WATCHED, str(script)]
    run = subprocess.run(
        command, cwd=folder, env=os.environ | settings, capture_output=True, encoding="utf-8", check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    rows = log.read_text(encoding="utf-8").splitlines()
    allowed = (str(folder), "/dev/", "/proc/")
    rows = [row for row in rows if "__pycache__" not in row and not row.startswith(IPV6)]
    return [row for row in rows if not row.split(" ", 1)[1].startswith(allowed)]


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.parent.name)
def test_a_lesson_opens_no_socket_and_writes_only_at_home(lesson, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    assert watched(lesson, home) == []


def test_a_script_that_leaves_home_is_seen(tmp_path):
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    script = tmp_path / "script.py"
    script.write_text(f"import socket\nopen({str(outside)!r}, 'w').close()\nsocket.socket().close()\n")
    seen = watched(script, home)
    assert any(row == f"open {outside}" for row in seen)
    assert any(row.startswith("socket.") for row in seen)
