"""Saves that are killed, crash or fail at any moment: a run always goes on from a whole checkpoint.

Each script runs in a child that imports no framework, so that it can fork; it prints what it counted.
"""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="fork and SIGKILL are POSIX")

START = """
import os, random, resource, shutil, signal, sys, time
from pathlib import Path
import numpy as np
from minilm import backends
from minilm.errors import MinilmError
from minilm.records import ModelConfig
from minilm.training.checkpoint import newest, save_checkpoint

place = Path(sys.argv[1])
model = backends.create("numpy", ModelConfig(60, 8, 8))
state = model.snapshot()

class Still:  # every number of a checkpoint is its step, so that a mixture of two would be seen
    config = model.config
    def __init__(self, step):
        self.step = step
    def snapshot(self):
        return {name: np.full_like(array, self.step) for name, array in state.items()}

def keep(step):
    save_checkpoint(place, Still(step), step, step, {})
def keep_clean(step):
    # A reader changes nothing; the next save that goes through removes what a killed one has left.
    keep(step)
    assert not list(place.glob(".*")), "left-overs"

def whole():
    found = newest(place)
    assert found.step == found.tokens and found.skipped == (), found
    assert all((array == found.step).all() for array in found.arrays.values())
    return found.step

def in_child(work):
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except MinilmError:
            os._exit(3)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(4)
    return child

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def at_call(nth, act):
    '''act(name) before the nth call into the operating system or a file, from now on.'''
    seen = 0
    def watch(frame, event, function):
        nonlocal seen
        if event == "c_call" and asks_the_system(function):
            seen += 1
            if seen == nth:
                act(function.__name__)
    sys.setprofile(watch)

def asks_the_system(function):
    if function.__name__ in ("fspath", "getpid", "fileno"):  # these cannot fail
        return False
    owner = type(getattr(function, "__self__", None)).__module__
    return owner == "_io" or function.__module__ in ("posix", "_io", "io")
"""

KILLS = """
keep(1)
# The kills fall over the first two saves of a child, however fast this machine is.
times = []
for step in range(2, 12):
    begun = time.monotonic()
    assert ended(in_child(lambda: keep(step))) == 0
    times.append(time.monotonic() - begun)
seconds, dice = sorted(times)[5], random.Random(0)
newer = 0
for kill in range(200):
    first, (reading, writing) = whole(), os.pipe()
    def saves():
        for step in range(first + 1, first + 10**6):
            keep(step)
            os.write(writing, step.to_bytes(8, "little"))
    child = in_child(saves)
    os.close(writing)
    time.sleep(dice.uniform(0.1, 2.0) * seconds)
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    with open(reading, "rb") as told:
        complete = told.read()
    last = int.from_bytes(complete[-8:], "little") if complete else first
    assert last <= whole() <= last + 1, (last, whole())
    newer += whole() > first
keep_clean(whole() + 1)
assert newer > 50, newer
print(f"200 kills: 200 go on from the newest complete checkpoint ({newer} past the one before), 0 torn")
"""

CRASHES = """
keep(1)
keep(2)
names, nth = [], 0
while True:
    nth += 1
    reading, writing = os.pipe()
    def crashes():
        def crash(name):
            sys.setprofile(None)
            os.write(writing, name.encode())
            os._exit(9)
        at_call(nth, crash)
        keep(3)
    code = ended(in_child(crashes))
    os.close(writing)
    name = os.read(reading, 99).decode()
    os.close(reading)
    assert whole() in (2, 3), whole()
    if code == 0:
        break
    assert code == 9, code
    names.append(name)
    after = whole()
    keep_clean(after + 1)  # the next save goes through, whatever was left behind
    assert whole() == after + 1
    for step in place.glob("step-*"):
        shutil.rmtree(step)
    keep(1)
    keep(2)
assert {"mkdir", "open", "write", "fsync", "rename", "unlink", "rmdir"} <= set(names), sorted(set(names))
print(f"a crash at each of {len(names)} calls of a save: {len(names)} go on from the last good one")
"""

ERRORS = """
keep(1)
count = 0
for number in (5, 28, 30):  # an I/O error, a full disk, a disk that may only be read
    nth = 0
    while True:
        nth += 1
        def fails():
            def fail(name):
                sys.setprofile(None)
                raise OSError(number, os.strerror(number))
            at_call(nth, fail)
            try:
                keep(2)
            finally:
                fired = sys.getprofile() is None
                sys.setprofile(None)
            os._exit(7 if fired else 0)
        code = ended(in_child(fails))
        assert code in (0, 3, 7), (number, nth, code)
        assert whole() in (1, 2)
        shutil.rmtree(place / "step-00000002", ignore_errors=True)
        if code == 0:
            break
        count += 1
        keep_clean(1)
assert count > 60, count
bounded = 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = max(path.stat().st_size for path in (place / "step-00000001").iterdir())
for limit in range(0, size, max(size // 100, 1)):
    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        keep(2)
    assert ended(in_child(full)) == 3, limit
    assert whole() == 1
    bounded += 1
print(f"{count} failing calls and {bounded} disks full at a byte: the checkpoint before intact every time")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "said"),
    [(KILLS, "200 kills: 200 go on"), (CRASHES, "a crash at each of"), (ERRORS, "failing calls and")],
    ids=["200_kills", "a_crash_at_every_call", "an_error_at_every_call_and_byte"],
)
def test_a_run_goes_on_from_a_whole_checkpoint_after(tmp_path, script, said):
    command = [sys.executable, "-c", START + script, str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    assert said in result.stdout
