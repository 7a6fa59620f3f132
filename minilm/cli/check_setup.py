"""minilm check-setup: what this machine can run, each backend tried, and the line that mends what is missing.

A backend is tried by one real training step in a process of its own, because a broken framework can
crash or hang its process.
"""

from __future__ import annotations

import json
import locale
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import distributions, version
from importlib.util import find_spec
from time import perf_counter

import click

from minilm.faces import console

__all__ = ["Row", "command", "rows", "step"]

TIMEOUT = 120  # seconds: TensorFlow's first import on a slow disk takes most of a minute
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
FRAMEWORKS = {  # name -> (what must be importable, distributions, the extra that brings it)
    "numpy": ("numpy", ("numpy",), ""),
    "torch": ("torch", ("torch",), "torch"),
    "tensorflow": ("tensorflow", ("tensorflow", "tensorflow-cpu"), "tensorflow"),
    "hf": ("transformers", ("transformers",), "hf"),
}
WHEELS = {  # where the extras' frameworks can be installed: (system, machine)
    ("Linux", "x86_64"),
    ("Linux", "aarch64"),
    ("Darwin", "arm64"),
    ("Windows", "AMD64"),
}


@dataclass(frozen=True)
class Row:
    """One line of the report: mend is what to run or do where it is not ok, or ""."""

    name: str
    ok: bool
    detail: str
    mend: str = ""


def rows(timeout: float = TIMEOUT) -> Iterator[Row]:
    """Python, platform, console, then each backend, as they are tried."""
    number = platform.python_version()
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Row("Python", supported, number, "" if supported else "install Python 3.11, 3.12 or 3.13")
    yield Row("platform", True, f"{platform.system()} {platform.machine()}")
    yield _console()
    for name in FRAMEWORKS:
        yield _backend(name, timeout)


def _console() -> Row:
    encoding = sys.stdout.encoding or locale.getpreferredencoding(False)
    whole = console.to_console("→ é 中", encoding) == "→ é 中"
    detail = encoding if whole else f"{encoding}; what it lacks is shown as escapes (PYTHONUTF8=1 shows all)"
    return Row("console", True, detail)


def _backend(name: str, timeout: float) -> Row:
    package, _, extra = FRAMEWORKS[name]
    if find_spec(package) is None:
        if (platform.system(), platform.machine()) not in WHEELS:
            return Row(name, True, "no wheel for this platform; everything runs with --backend numpy")
        return Row(name, False, "not installed", _install(extra))
    start = perf_counter()
    call = f"from minilm.cli.check_setup import step; step({name!r})"
    try:
        done = subprocess.run([sys.executable, "-P", "-c", call], capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return Row(name, False, f"one training step took longer than {timeout:g} s", _reinstall(name))
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return Row(name, False, f"does not run: {last or f'exit {done.returncode}'}", _reinstall(name))
    took = perf_counter() - start
    distribution = _distribution(name)
    number = version(distribution) if distribution else "not installed by pip"
    return Row(name, True, f"{number}, one training step in {took:.1f} s")


def _install(extra: str) -> str:
    index = f" --extra-index-url {CPU_WHEELS}" if extra in ("torch", "hf") and sys.platform == "linux" else ""
    wanted = f"minilm[{extra}]" if extra else "minilm"
    return f'"{sys.executable}" -m pip install "{wanted}"{index}'


def _reinstall(name: str) -> str:
    distribution = _distribution(name)
    if distribution is None:
        return _install(FRAMEWORKS[name][2])
    index = f" --extra-index-url {CPU_WHEELS}" if name == "torch" and sys.platform == "linux" else ""
    wanted = f"{distribution}=={version(distribution).partition('+')[0]}"
    return f'"{sys.executable}" -m pip install --force-reinstall --no-deps "{wanted}"{index}'


def _distribution(name: str) -> str | None:
    """Which of the distributions that bring a framework is installed."""
    return next((one for one in FRAMEWORKS[name][1] if any(True for _ in distributions(name=one))), None)


def step(name: str) -> None:
    """One training step of a tiny model in the named framework; raises where it does not run."""
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


def _line(row: Row) -> str:
    line = f"{row.name:<10} {'ok' if row.ok else 'not ok':<7} {row.detail}"
    return f"{line}\n{'':<18} mend: {row.mend}" if row.mend else line


@click.command("check-setup", epilog="Example: minilm check-setup")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Try what this machine can run, and name the line that mends what is missing.

    Exit code 1 where something can be mended.
    """
    well = True
    for row in rows():
        well &= row.ok
        text = json.dumps(asdict(row)) if as_json else _line(row)
        console.write(text, sys.stdout)
        sys.stdout.flush()
    context.exit(0 if well else 1)
