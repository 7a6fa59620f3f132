"""Plant faults in a copy of the project, one at a time, and see that a test finds each of them.

A fault is an entry of a .toml file in this folder: what is wrong, the file, the text before, the text after,
and the test that must fail. `make faults` runs all of them; words after it choose by file or description:

    python tests/faults/run.py sampling
    python tests/faults/run.py --sample 20
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
COPIED = ("minilm", "tokenizer", "tests", "lessons", "notebooks")
TIMEOUT = 300  # seconds for one test; an endless loop counts as found


@dataclass(frozen=True)
class Fault:
    """One wrong line.

    Attributes:
        what: the mistake, in a few words.
        file: the file that it is planted in, from the project's root.
        before: the right text; it occurs exactly once in the file.
        after: the wrong text.
        test: the test that must fail, as pytest names it (FILE::NAME).
    """

    what: str
    file: str
    before: str
    after: str
    test: str

    def problem(self, root: Path = ROOT) -> str | None:
        """Say why the fault can no longer be planted, or None."""
        path, (module, *names) = root / self.file, self.test.split("::")
        if not path.is_file():
            return f"{self.file} does not exist"
        count = path.read_text("utf-8").count(self.before)
        if count != 1:
            return f"the text before occurs {count} times in {self.file}, not once"
        if self.before == self.after:
            return "the text after is the text before"
        if not (root / module).is_file():
            return f"{module} does not exist"
        name = names[-1].partition("[")[0] if names else ""
        if not name or f"def {name}(" not in (root / module).read_text("utf-8"):
            return f"{module} has no test {name!r}"
        return None


def load(words: Sequence[str] = ()) -> list[Fault]:
    """Return all faults, or those whose file, test or description holds one of the words."""
    entries = [
        Fault(**entry)
        for path in sorted(HERE.glob("*.toml"))
        for entry in tomllib.loads(path.read_text("utf-8"))["fault"]
    ]
    if not words:
        return entries
    return [f for f in entries if any(word in f"{f.what} {f.file} {f.test}" for word in words)]


def sample(faults: Sequence[Fault], count: int) -> list[Fault]:
    """Return so many faults, evenly spread over the list: always the same ones."""
    if count >= len(faults):
        return list(faults)
    return [faults[index * len(faults) // count] for index in range(count)]


class Copy:
    """A copy of the project that faults are planted in; the project itself is never changed.

    Attributes:
        root: The folder of the copy.
        said: What pytest printed last.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.said = ""
        ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
        for name in COPIED:
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for path in ROOT.iterdir():
            if path.is_file():
                shutil.copy(path, folder)

    def finds(self, fault: Fault) -> bool:
        """Plant a fault, run its test, take the fault out again; return True where the test failed."""
        path = self.root / fault.file
        right = path.read_text("utf-8")
        path.write_text(right.replace(fault.before, fault.after), "utf-8")
        try:
            return self._fails(fault.test)
        finally:
            path.write_text(right, "utf-8")

    def _fails(self, test: str) -> bool:
        command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-rs", "-p", "no:cacheprovider", test]
        environment = os.environ | {"PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command, cwd=self.root, env=environment, capture_output=True, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            return True
        self.said = done.stdout.decode(errors="replace")
        # 1: a test failed. What cannot even be imported (2) is no fault that a test has to find.
        return done.returncode == 1


def passes(faults: Sequence[Fault]) -> bool:
    """Run the tests of the faults on the project as it is; a test that fails already would find anything."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    tests = sorted({fault.test for fault in faults})
    return subprocess.run([*command, *tests], cwd=ROOT, capture_output=True).returncode == 0


def run(faults: Sequence[Fault]) -> Iterator[tuple[Fault, bool]]:
    """Yield each fault, and True where its test found it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        for fault in faults:
            yield fault, copy.finds(fault)


def main() -> int:
    """Run the faults that the command line asks for; return 1 where one was not found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="run faults whose file, test or description holds a word")
    parser.add_argument("--sample", type=int, metavar="N", help="run N faults, evenly spread")
    arguments = parser.parse_args()
    faults = load(arguments.words)
    if arguments.sample:
        faults = sample(faults, arguments.sample)
    if broken := [(fault, problem) for fault in faults if (problem := fault.problem())]:
        for fault, problem in broken:
            print(f"cannot be planted: {fault.what}: {problem}")
        return 1
    print("running the tests without a fault first: each must pass", flush=True)
    if not passes(faults):
        print("a test fails without any fault; make the tests pass before you plant faults")
        return 1
    began, missed = time.monotonic(), []
    for number, (fault, found) in enumerate(run(faults), 1):
        left = (time.monotonic() - began) / number * (len(faults) - number)
        state = "found    " if found else "NOT FOUND"
        print(f"{number}/{len(faults)} {state} {fault.file}: {fault.what}   {left:.0f} s left", flush=True)
        if not found:
            missed.append(fault)
    print(f"killed {len(faults) - len(missed)} of {len(faults)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
