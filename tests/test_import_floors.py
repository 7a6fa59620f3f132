"""Who may import whom, as a table: from lower floors only, and each framework in its own files."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {  # room -> floor; a room imports itself and lower floors
    "frozen": -1, "errors": 0, "one_line": 0, "whole_file": 0, "records": 0, "dice": 0,
    "numerics": 1, "conditions": 1,
    "protocols": 2, "weights": 2,
    "sampling": 3, "inside": 3, "backends": 3,
    "generation": 4, "training": 4, "attribution": 4,
    "builtin": 5, "comparison": 5, "doctor": 5,
    "faces": 6, "bench": 6,
    "studio": 7, "grading": 7,
    "cli": 8,
    "": 9, "__main__": 9,  # minilm itself: the public names
}  # fmt: skip
ONLY = {"faces": {"records", "numerics", "errors", "whole_file"}}  # a face renders records, computes nothing
TOKENIZER = {
    "builtin",
    "bench",
    "comparison",
    "studio",
    "cli",
}  # the others know the TextCodec protocol alone
BY_NAME = {
    "minilm",
    "minilm.backends",
    "minilm.bench",
    "minilm.cli",
}  # they import what a table of theirs names
FACES = {"minilm.faces.text", "minilm.faces.html"}  # records ask for them, by name, when they are shown
FRAMEWORKS = {  # package -> the modules that may import it
    "torch": r"minilm\.(backends|bench|doctor)\.(torch_\w+|huggingface\w*)",
    "transformers": r"(minilm\.(backends|bench)|tokenizer)\.huggingface\w*",
    "tokenizers": r"tokenizer\.huggingface\w*",
    "tensorflow": r"minilm\.(backends|bench|doctor)\.tensorflow_\w+",
    "keras": r"minilm\.(backends|bench|doctor)\.tensorflow_\w+",
    "matplotlib": r"minilm\.faces\.plots(\.\w+)?",
    "rich": r"minilm\.(faces|cli)\.\w+",
    "click": r"minilm\.cli(\.\w+)?",
    "fastapi": r"minilm\.studio\.\w+",
    "uvicorn": r"minilm\.studio\.\w+",
    "llguidance": r"minilm\.(sampling|bench)\.constraint\w*",
    "sentencepiece": r"(tokenizer|minilm\.bench)\.\w+",
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): path for top in ("minilm", "tokenizer") for path in sorted((ROOT / top).rglob("*.py"))
}


def imports(source: str) -> set[str]:
    """Every dotted name that a source imports, at any depth; by name too ("*": a name made up as it runs)."""
    found = set()
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            argument = node.args[0]
            found.add(argument.value if isinstance(argument, ast.Constant) else "*")
        pending += ast.iter_child_nodes(node)
    return found


def room(module: str) -> str:
    """The second part of a dotted name; "" for minilm itself and the names it exports."""
    second = [*module.split("."), ""][1]
    return second if second in FLOORS or module in MODULES else ""


def complaint(module: str, target: str) -> str | None:
    """Why a module may not import a dotted name, or None."""
    if target == "*":
        return None if module in BY_NAME else "imports by a name that it makes up"
    if module == "minilm.records" and target in FACES:
        return None
    top = target.split(".")[0]
    if target.startswith("."):
        return "relative import"
    if top in FRAMEWORKS and not re.fullmatch(FRAMEWORKS[top], module):
        return f"{top} is imported only by {FRAMEWORKS[top]}"
    if module.startswith("tokenizer"):
        return "tokenizer knows nothing of minilm" if top == "minilm" else None
    here, there = room(module), room(target)
    if top == "tokenizer" and here not in TOKENIZER | {""}:
        return "only " + ", ".join(sorted(TOKENIZER)) + " bring a tokenizer"
    if top != "minilm" or here == there:
        return None
    if there not in ONLY.get(here, {there}):
        return f"{here} imports only {ONLY[here]}"
    return None if FLOORS[there] < FLOORS[here] else f"floor {FLOORS[here]} imports floor {FLOORS[there]}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_lower_floors(module):
    found = imports(MODULES[module].read_text("utf-8"))
    wrong = {target: complaint(module, target) for target in sorted(found) if complaint(module, target)}
    assert not wrong


def test_there_are_no_circles():
    graph = {}
    for module, path in MODULES.items():
        names = imports(path.read_text("utf-8")) - FACES
        modules = {name if name in MODULES else name.rpartition(".")[0] for name in names}
        graph[module] = modules & set(MODULES) - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("minilm.sampling.stages", "minilm.generation.cursor"),
        ("minilm.faces.text", "minilm.sampling.stages"),
        ("minilm.training.fit", "torch"),
        ("minilm.backends.torch_lstm", "tensorflow"),
        ("minilm.backends.torch_lstm", "tokenizer"),
        ("minilm.generation.cursor", "minilm.training.fit"),
        ("tokenizer.spm", "minilm.errors"),
        ("minilm.cli.demo", "matplotlib.pyplot"),
        ("minilm.training.fit", "*"),
        ("minilm.cli.demo", "minilm.ModelConfig"),
    ],
)
def test_the_table_refuses(module, target):
    assert complaint(module, target)


def test_imports_inside_functions_and_by_name_are_seen():
    source = (
        "def f(name):\n    import torch\n    import_module('minilm.cli')\n    importlib.import_module(name)"
    )
    assert imports(source) == {"torch", "minilm.cli", "*"}
