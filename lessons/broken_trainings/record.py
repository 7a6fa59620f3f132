"""Record one broken training for each check of the doctor: the exhibits of `minilm doctor museum`.

    python lessons/broken_trainings/record.py                    every exhibit, into exhibits/
    python lessons/broken_trainings/record.py --out FOLDER softmax_twice order_repeated

A checkout ships the exhibits in minilm/doctor/exhibits; give that folder as --out to record them again.
Recording needs PyTorch, and TensorFlow for the one bug that PyTorch cannot have.
"""

import argparse
from importlib import import_module
from pathlib import Path

from minilm import doctor
from minilm.doctor.museum import Exhibit, list_exhibits

STEPS = 14
ATTACH = {"torch": doctor.attach_torch, "tensorflow": doctor.attach_tensorflow}
# Findings that several broken loops lead to, and the loop that is recorded; otherwise it is the first.
CHOSEN = {"dead_tokens": "DeadToken", "wrong_dimension": "SoftmaxOverTime"}


def broken_loop(exhibit: Exhibit):
    """Return a new broken loop whose bug the exhibit's check finds."""
    loops = import_module(f"{exhibit.framework}_loops").BROKEN_LOOPS
    matching = {loop.__name__: loop for loop in loops if loop.finding == exhibit.name}
    return matching[CHOSEN.get(exhibit.name, next(iter(matching)))]()


def record(exhibit: Exhibit, folder: Path) -> Path:
    """Run the broken loop of an exhibit for 14 steps, and write what the doctor saw.

    Args:
        exhibit: The exhibit to record; its framework must be installed.
        folder: Folder to write into; it is made where it is missing.

    Returns:
        The path of the record, JSON lines.
    """
    loop = broken_loop(exhibit)
    with ATTACH[exhibit.framework](loop.net, loop.optimizer) as watching:
        for _ in loop.run(STEPS):
            pass
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / exhibit.path.name
    watching.save(path)
    return path


def main() -> None:
    """Record the exhibits that the command line names."""
    parser = argparse.ArgumentParser(description="Record broken trainings for the doctor's museum.")
    parser.add_argument("names", nargs="*", help="exhibits to record (default: all)")
    parser.add_argument("--out", type=Path, default=Path("exhibits"), help="folder to write into")
    options = parser.parse_args()
    known = {exhibit.name: exhibit for exhibit in list_exhibits()}
    for name in options.names or known:
        if name not in known:
            parser.error(f"there is no exhibit {name!r}; choose from {', '.join(known)}")
        print(record(known[name], options.out))


if __name__ == "__main__":
    main()
