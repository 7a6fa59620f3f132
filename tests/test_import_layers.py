"""Who may import whom: lower rows, within a row only parts to the left; a framework in its own package."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = (  # a part of minilm imports parts of the rows above, and those to its left in its own row
    ("errors", "shadows", "frozen", "atomic"),
    ("dice", "records", "weights", "model_config"),
    ("numerics", "difference", "protocols", "token_text", "conditions"),
    ("storage", "sampling", "inside"),
    ("backends", "generation", "training"),
    ("trace", "attribution", "builtin"),
    ("comparison", "doctor"),
    ("faces",),
    ("workflows", "grading"),
    ("studio",),
    ("bench", "cli"),
    ("", "__main__"),  # minilm itself: the public names
)
PLACES = {part: (row, column) for row, parts in enumerate(ROWS) for column, part in enumerate(parts)}
FACES_ROW = 2  # a face renders records: it imports the rows 0 to 2 alone
TOKENIZER = {"builtin", "comparison", "workflows", "studio", "bench", "cli"}  # others: the protocol TextCodec
BY_NAME = {  # they import what a table of theirs names
    "minilm",
    "minilm.backends",
    "minilm.bench",
    "minilm.cli",
}
FRAMEWORKS = {  # package -> the modules that may import it
    "torch": r"minilm\.(backends\.(torch|huggingface)|doctor\.torch|bench\.(torch|huggingface))[\w.]*",
    "transformers": r"(minilm\.backends|minilm\.bench|tokenizer)\.huggingface[\w.]*",
    "tokenizers": r"tokenizer\.huggingface",
    "tensorflow": r"minilm\.(backends|bench|doctor)\.tensorflow[\w.]*",
    "keras": r"minilm\.(backends|bench|doctor)\.tensorflow[\w.]*",
    "matplotlib": r"minilm\.faces\.plots(\.\w+)?",
    "rich": r"minilm\.(faces|cli)\.[\w.]+",
    "click": r"minilm\.cli[\w.]*",
    "fastapi": r"minilm\.studio\.\w+",
    "uvicorn": r"minilm\.studio\.\w+",
    "llguidance": r"minilm\.(sampling\.constraints|bench)\.\w+",
    "sentencepiece": r"(tokenizer|minilm\.bench)\.\w+",
}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): path for top in ("minilm", "tokenizer") for path in sorted((ROOT / top).rglob("*.py"))
}


def imports(source: str, *, checking: bool = False) -> set[str]:
    """Every dotted name that a source imports, at any depth; "*": by a name made up as it runs.

    checking: count what is imported for type checking alone, too.
    """
    found = set()
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not checking:
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


def part(module: str) -> str:
    """The second part of a dotted name; "" for minilm itself and the names it exports."""
    second = [*module.split("."), ""][1]
    return second if second in PLACES or module in MODULES else ""


def complaint(module: str, target: str) -> str | None:
    """Why a module may not import a dotted name, or None."""
    if target == "*":
        return None if module in BY_NAME else "imports by a name that it makes up"
    top = target.split(".")[0]
    if target.startswith("."):
        return "relative import"
    if top in FRAMEWORKS and not re.fullmatch(FRAMEWORKS[top], module):
        return f"{top} is imported only by {FRAMEWORKS[top]}"
    if module.startswith("tokenizer"):
        return "tokenizer knows nothing of minilm" if top == "minilm" else None
    here, there = part(module), part(target)
    if top == "tokenizer" and here not in TOKENIZER:
        return "only " + ", ".join(sorted(TOKENIZER)) + " bring a tokenizer"
    if top != "minilm" or here == there:
        return None
    if here == "faces" and PLACES[there][0] > FACES_ROW:
        return f"faces imports only rows 0 to {FACES_ROW}"
    return None if PLACES[there] < PLACES[here] else f"{here} {PLACES[here]} imports {there} {PLACES[there]}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_before_it(module):
    found = imports(MODULES[module].read_text("utf-8"))
    wrong = {target: complaint(module, target) for target in sorted(found) if complaint(module, target)}
    assert not wrong


def test_every_part_of_minilm_has_a_place():
    assert {part(module) for module in MODULES if module.startswith("minilm")} <= set(PLACES)


@pytest.mark.parametrize("checking", [False, True], ids=["as it runs", "with imports for type checking"])
def test_there_are_no_circles(checking):
    graph = {}
    for module, path in MODULES.items():
        if checking and not module.startswith("minilm.cli"):
            continue
        names = imports(path.read_text("utf-8"), checking=checking)
        modules = {name if name in MODULES else name.rpartition(".")[0] for name in names}
        graph[module] = modules & set(MODULES) - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_record_names_a_face():
    for module in ("minilm.frozen", "minilm.records"):
        assert "minilm.faces" not in MODULES[module].read_text("utf-8")


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("minilm.sampling.stages.common", "minilm.generation.cursor"),
        ("minilm.faces.text", "minilm.sampling.stages.common"),
        ("minilm.training.fit", "torch"),
        ("minilm.backends.torch.lstm", "tensorflow"),
        ("minilm.backends.torch.lstm", "tokenizer"),
        ("minilm.backends.checks", "minilm.generation.cursor"),
        ("minilm.generation.cursor", "minilm.training.fit"),
        ("minilm.generation.cursor", "minilm.trace.reader"),
        ("minilm.records", "minilm.faces"),
        ("tokenizer.spm", "minilm.errors"),
        ("minilm.workflows.open", "click"),
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
