"""No eval, exec, shell, pickle or code of a model folder anywhere in the source: data is only ever data."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [path for top in ("minilm", "tokenizer", "lessons") for path in sorted((ROOT / top).rglob("*.py"))]
CALLS = {"eval", "exec", "compile", "__import__"}
DOTTED = {"os.system", "os.popen", "torch.load", "builtins.eval", "builtins.exec", "yaml.load"}
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FLAGS = {"shell", "allow_pickle", "trust_remote_code"}  # never True


def hostile(source: str) -> list[str]:
    """Every construct of a source that could run what was read, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        name = ""
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            name = called if called in CALLS | DOTTED else ""
        elif isinstance(node, ast.keyword) and node.arg in FLAGS:
            name = "" if isinstance(node.value, ast.Constant) and node.value.value is False else node.arg
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            name = next((k.value for k, v in pairs if _flag(k) and not _false(v)), "")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            name = next((n for n in names if n.split(".")[0] in MODULES), "")
        if name:
            found.append(f"line {getattr(node, 'lineno', '?')}: {name}")
    return found


def _flag(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and key.value in FLAGS


def _false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_source_runs_nothing_that_it_reads(path):
    assert not hostile(path.read_text("utf-8"))


@pytest.mark.parametrize(
    "planted",
    [
        "eval(text)",
        "exec(open(name).read())",
        "subprocess.run(line, shell=True)",
        "import pickle",
        "from pickle import loads",
        "torch.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "open_model(path, trust_remote_code=True)",
        "options = {'trust_remote_code': asked}",
    ],
)
def test_the_planted_construct_is_found(planted):
    assert hostile(planted)


@pytest.mark.parametrize(
    "fine", ["net.eval()", "run(x, shell=False)", "re.compile('a')", "{'trust_remote_code': False}"]
)
def test_the_harmless_one_is_not(fine):
    assert not hostile(fine)
