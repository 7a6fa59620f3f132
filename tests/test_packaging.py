"""The wheel: what it holds, what it can do where no framework is installed, and what importing it touches."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from minilm.backends import BACKENDS
from minilm.workflows.setup_check import FRAMEWORKS

ROOT = Path(__file__).parent.parent
PACKAGES = ("minilm", "tokenizer")
TEXTS = {".py", ".md", ".ipynb", ".css", ".html", ".js"}
NO_FRAMEWORKS = '''
"""Put on the path as sitecustomize: this Python finds no framework."""
from importlib.machinery import PathFinder
found = PathFinder.find_spec
absent = {"torch", "tensorflow", "keras", "transformers", "tokenizers", "llguidance", "captum", "IPython"}
PathFinder.find_spec = staticmethod(
    lambda name, *where: None if name.split(".")[0] in absent else found(name, *where)
)
'''
WATCHED = """
import os, sys
touched = []
def watch(event, arguments):
    if event.startswith("socket."):
        touched.append(event)
    if event == "open" and isinstance(arguments[0], str):
        mode, flags = arguments[1] or "", arguments[2] or 0
        if set(mode) & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            touched.append(arguments[0])
    if event in ("os.mkdir", "os.remove", "os.rename", "subprocess.Popen"):
        touched.append(f"{event} {arguments[0]}")
sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of what belongs to it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "node_modules")
    for name in (*PACKAGES, "lessons"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", folder, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("minilm-*.whl"))


@pytest.fixture(scope="module")
def files(wheel):
    """Name and size of each file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {item.filename: item.file_size for item in archive.infolist()}


@pytest.fixture(scope="module")
def core(wheel):
    """Run Python on the unpacked wheel, where no framework can be found."""
    site = wheel.parent / "site ü"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for data in site.glob("*.data/data"):
        shutil.copytree(data, site, dirs_exist_ok=True)
    (site / "sitecustomize.py").write_text(NO_FRAMEWORKS)
    (work := wheel.parent / "work").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    environment["MPLCONFIGDIR"] = str(wheel.parent / "cache")

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=work,
            env=environment,
        )
        return done.returncode, done.stdout, done.stderr

    code, printed, error = run("-c", "import minilm, tokenizer; print(minilm.__file__, tokenizer.__file__)")
    assert code == 0, error
    assert printed.count(str(site)) == 2
    return run


def test_only_minilm_and_tokenizer_can_be_imported(files):
    tops = {name.split("/")[0] for name in files}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of_the_package(files, package):
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*") if path.is_file()}
    assert {name for name in here if "__pycache__" not in name} <= set(files)


def test_the_wheel_holds_the_course_as_data(files):
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lessons").rglob("*") if path.is_file()}
    wanted = {name for name in here if "__pycache__" not in name and not name.endswith("conftest.py")}
    held = {name.partition("/data/share/minilm/")[2] for name in files if "/data/share/minilm/" in name}
    assert wanted <= held


def test_the_built_in_model_is_under_a_megabyte_and_the_wheel_under_two(files, wheel):
    model = {name: size for name, size in files.items() if name.startswith("minilm/storyland/")}
    assert any(name.endswith(".safetensors") for name in model)
    assert sum(model.values()) < 1_000_000
    assert wheel.stat().st_size < 2_000_000


def test_a_core_install_explains_its_first_token(core):
    code, printed, error = core("-m", "minilm", "generate", "--max-tokens", "1")
    assert code == 0, error
    assert "chosen: " in printed


def test_a_core_install_has_numpy_tokenizer_and_course(core):
    assert core("-c", "import minilm; print(minilm.available())")[1].strip() == "['numpy']"
    assert core("-m", "minilm", "tokenizer", "encode", "the little fox")[0] == 0
    assert "01_text_to_ids" in core("-m", "minilm", "lesson", "list")[1]


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["generate", "--backend", "torch"], ".[torch]"),
        (["generate", "--backend", "tensorflow"], ".[tensorflow]"),
        (["generate", "--model", "hf:gpt2"], ".[hf]"),
    ],
)
def test_a_missing_framework_is_one_line_that_names_the_extra(core, arguments, extra):
    code, _, error = core("-m", "minilm", *arguments)
    assert code == 2
    assert len(error.splitlines()) == 1
    assert "pip install" in error
    assert extra in error


def test_each_install_line_works_in_a_clone_and_names_an_extra_that_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folders = [ROOT / name for name in (*PACKAGES, "lessons", "notebooks", "docs")]
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix in TEXTS]
    files += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "Makefile", "constraints.txt")]
    texts = {str(file): file.read_text(encoding="utf-8").replace("\\", "") for file in files}
    assert [name for name, text in texts.items() if re.search(r"install[^\n]*minilm\[", text)] == []
    named = set(re.findall(r"install[^\n]*\.\[([a-z,]+)\]", "\n".join(texts.values())))
    used = set(re.findall(r'extra="([a-z]+)"', "\n".join(texts.values())))
    used |= {extra for _, _, extra in BACKENDS.values()} | {extra for _, _, extra in FRAMEWORKS.values()}
    assert {"all", "dev", "torch"} <= named
    assert used >= {"", "torch", "tensorflow", "hf", "constrain"}
    extras = {extra for names in named | used for extra in names.split(",") if extra}
    assert extras <= set(project["optional-dependencies"])


def test_check_setup_of_a_core_install_names_the_missing_frameworks(core):
    code, printed, _ = core("-m", "minilm", "check-setup")
    assert code in (0, 1)  # 0 where the platform has no wheels of them
    assert printed.count("not installed") + printed.count("no wheel") == 3


def test_importing_everything_opens_no_socket_and_writes_nothing(core):
    script = (
        WATCHED
        + """
import importlib, pkgutil, minilm, tokenizer
for package in (minilm, tokenizer):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            assert not error.name.startswith(("minilm", "tokenizer.")), error
assert "minilm.backends.numpy.lstm" in sys.modules
of_matplotlib = (os.environ["MPLCONFIGDIR"], "fc-list")  # its cache of fonts, made once
print([what for what in touched if not any(known in what for known in of_matplotlib)])
"""
    )
    code, printed, error = core("-c", script)
    assert code == 0, error
    assert printed.strip() == "[]"
