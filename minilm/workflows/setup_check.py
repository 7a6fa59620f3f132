"""Check what this machine can run: try each backend, and name the line that installs or repairs it.

A backend is tried by one real training step in a process of its own, because a broken framework can
crash or hang its process.
"""

from __future__ import annotations

import locale
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions, version
from importlib.util import find_spec
from time import perf_counter

from minilm.errors import install_advice
from minilm.faces import console

__all__ = ["SetupRow", "check_setup", "try_backend"]

# Seconds: TensorFlow's first import from a slow disk takes most of a minute.
TIMEOUT = 120
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
# name -> (what must be importable, distributions, the extra that brings it)
FRAMEWORKS = {
    "numpy": ("numpy", ("numpy",), ""),
    "torch": ("torch", ("torch",), "torch"),
    "tensorflow": ("tensorflow", ("tensorflow", "tensorflow-cpu"), "tensorflow"),
    "hf": ("transformers", ("transformers",), "hf"),
}
# Where the frameworks can be installed: (system, machine).
WHEELS = {
    ("Linux", "x86_64"),
    ("Linux", "aarch64"),
    ("Darwin", "arm64"),
    ("Windows", "AMD64"),
}


@dataclass(frozen=True)
class SetupRow:
    """The result of one check of the set-up.

    Attributes:
        name: what was looked at: Python, platform, console or a backend.
        ok: it runs, or it is not needed here.
        detail: the version and how long it took, or what is wrong.
        mend: the line to run, or what to do, where it is not ok; else "".
    """

    name: str
    ok: bool
    detail: str
    mend: str = ""


def check_setup(timeout: float = TIMEOUT) -> Iterator[SetupRow]:
    """Yield a row for Python, the platform and the console, then for each backend as it is tried.

    Args:
        timeout: seconds that one training step of a backend may take.
    """
    number = platform.python_version()
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield SetupRow("Python", supported, number, "" if supported else "install Python 3.11, 3.12 or 3.13")
    yield SetupRow("platform", True, f"{platform.system()} {platform.machine()}")
    yield _console()
    for name in FRAMEWORKS:
        yield _backend(name, timeout)


def _console() -> SetupRow:
    encoding = sys.stdout.encoding or locale.getpreferredencoding(False)
    whole = console.to_console("→ é 中", encoding) == "→ é 中"
    detail = encoding if whole else f"{encoding}; what it lacks is shown as escapes (PYTHONUTF8=1 shows all)"
    return SetupRow("console", True, detail)


def _backend(name: str, timeout: float) -> SetupRow:
    package, _, extra = FRAMEWORKS[name]
    if find_spec(package) is None:
        if (platform.system(), platform.machine()) not in WHEELS:
            return SetupRow(name, True, "no wheel for this platform; everything runs with --backend numpy")
        return SetupRow(name, False, "not installed", _install(extra))
    start = perf_counter()
    call = f"from minilm.workflows.setup_check import try_backend; try_backend({name!r})"
    try:
        done = subprocess.run([sys.executable, "-P", "-c", call], capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return SetupRow(name, False, f"one training step took longer than {timeout:g} s", _reinstall(name))
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return SetupRow(name, False, f"does not run: {last or f'exit {done.returncode}'}", _reinstall(name))
    took = perf_counter() - start
    distribution = _distribution(name)
    number = version(distribution) if distribution else "not installed by pip"
    return SetupRow(name, True, f"{number}, one training step in {took:.1f} s")


def _install(extra: str) -> str:
    index = f" --extra-index-url {CPU_WHEELS}" if extra in ("torch", "hf") and sys.platform == "linux" else ""
    return install_advice(extra, f'"{sys.executable}" -m pip') + index


def _reinstall(name: str) -> str:
    distribution = _distribution(name)
    if distribution is None:
        return _install(FRAMEWORKS[name][2])
    index = f" --extra-index-url {CPU_WHEELS}" if name == "torch" and sys.platform == "linux" else ""
    wanted = f"{distribution}=={version(distribution).partition('+')[0]}"
    return f'"{sys.executable}" -m pip install --force-reinstall --no-deps "{wanted}"{index}'


def _distribution(name: str) -> str | None:
    """Return the distribution that brings a framework and is installed, or None."""
    return next((one for one in FRAMEWORKS[name][1] if any(True for _ in distributions(name=one))), None)


def try_backend(name: str) -> None:
    """Make one training step of a tiny model in the named framework; raise where it does not run."""
    import numpy as np

    ids = np.array([[1, 2, 3, 4]])
    if name == "hf":
        from minilm.backends.huggingface.open import create_gpt2

        model = create_gpt2(16, layers=1, heads=1, width=8, context=8)
    else:
        from minilm.backends import create
        from minilm.records import ModelConfig

        model = create(name, ModelConfig(16, 4, 8))
    gradients = model.gradients(ids[:, :-1], ids[:, 1:], np.ones((1, 3), np.float32))
    model.update(gradients, 1e-3)
    if not np.isfinite(model.read([1, 2]).logits).all():
        raise ArithmeticError(f"{name} gave logits that are not finite")
