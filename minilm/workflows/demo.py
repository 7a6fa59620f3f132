"""The demo: the whole product in about a minute, chapter by chapter, from stories to a report.

Every part is a call that a user could make.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from minilm import backends
from minilm.atomic import new_folder
from minilm.builtin import PROMPT, RECIPE
from minilm.comparison.backends import compare_runs
from minilm.errors import MinilmError, missing_package
from minilm.faces.progress import show_training
from minilm.faces.text import render
from minilm.protocols import Trainable
from minilm.records import Array, ModelConfig, OptimizerConfig, Step, TrainStep
from minilm.shadows import check_tokenizer
from minilm.storage.model_folder import write_model
from minilm.trace import TraceWriter
from minilm.training.batches import Batch, Batches, encode_documents, in_order
from minilm.training.corpus import from_storyland
from minilm.training.fit import Schedule, evaluate, fit
from minilm.training.storyland.entropy import Floor, floor
from minilm.training.storyland.stories import storyland
from minilm.workflows.codec import tokenizer_errors
from minilm.workflows.open import open_model

if TYPE_CHECKING:
    from tokenizer import Tokenizer

__all__ = [
    "STAGES",
    "Chapter",
    "DemoRequest",
    "Ground",
    "Note",
    "ParityTable",
    "Run",
    "Start",
    "Trained",
    "run_demo",
]

STAGES = "Temperature(0.8) TopK(40) TopP(0.95)"

# Steps that every framework takes, to see that they agree.
COMMON_STEPS = 30
COMMON_RATE = 1e-2

# Nats per token: how far above the floor the LSTM may stay.
BAR = 0.15

GPT2_STEPS = 300


@dataclass(frozen=True)
class DemoRequest:
    """The options of a demo.

    Attributes:
        out: a new folder for all that it makes; None for the first free one of demo, demo-2, ...
        steps: training steps of the LSTM, 20 or more.
        seed: of stories, weights, batches and dice.
    """

    out: str | None = None
    steps: int = RECIPE.steps
    seed: int = 0


@dataclass(frozen=True)
class Chapter:
    """A chapter begins: its number, how many there are, and its title."""

    number: int
    count: int
    title: str


@dataclass(frozen=True)
class Note:
    """Something that the demo found out, as lines of text."""

    text: str


@dataclass(frozen=True)
class ParityTable:
    """Return how far the frameworks differ: a row of headings, then one row for each framework."""

    rows: list[list[str]]


@dataclass(frozen=True)
class Ground:
    """The text that a demo trains on, its tokenizer, and what follows from them.

    Attributes:
        stories: the training texts.
        codec: the tokenizer trained on them.
        floor: their entropy, which no model can get below.
        batches: the batch of every step.
        held_out: batches of stories that are never trained on.
    """

    stories: tuple[str, ...]
    codec: Tokenizer
    floor: Floor
    batches: Batches
    held_out: tuple[Batch, ...]


@dataclass(frozen=True)
class Start:
    """The first steps of one training in every framework.

    Attributes:
        names: the frameworks.
        steps: the records of each.
        logits: what each answers after them on one text, (T, V).
    """

    names: tuple[str, ...]
    steps: Mapping[str, Sequence[TrainStep]]
    logits: Mapping[str, Array]

    @property
    def best(self) -> str:
        """The framework to train on in: torch where there is one."""
        return next(name for name in ("torch", "tensorflow", "numpy") if name in self.names)

    def rows(self) -> list[list[str]]:
        """Return a parity table: a row of headings, then a row for each framework against the first."""
        first = self.names[0]
        count = len(self.steps[first])
        rows = [["framework", "loss 1", f"loss {count}", f"losses differ from {first}", "logits differ"]]
        for found in compare_runs(self.steps, self.logits):
            losses = [step.loss for step in self.steps[found.backend]]
            ends = [f"{losses[0]:.6f}", f"{losses[-1]:.6f}"]
            rows.append([found.backend, *ends, f"{found.losses:.1e}", f"{found.logits:.1e}"])
        return rows


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        steps: its records.
        validation: the last validation loss, in nats per token.
    """

    steps: Sequence[TrainStep]
    validation: float

    def above(self, floor: Floor) -> float:
        """Return by how many nats per token it is worse than a perfect model."""
        return self.validation - floor.per_token

    def describe(self, floor: Floor) -> str:
        """Say how far the validation loss is above the floor, and if that is within the bar."""
        gap = self.above(floor)
        kept = f"within the bar of {BAR}" if gap <= BAR else f"the bar of {BAR} is missed; give more --steps"
        return f"validation {self.validation:.3f} nats per token, {gap:.3f} above the floor: {kept}"


@dataclass(frozen=True)
class Run:
    """One generation.

    Attributes:
        prompt_ids: the ids that were read first.
        steps: a record for every token.
    """

    prompt_ids: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """The text that was generated."""
        return "".join(step.new_text for step in self.steps)


def run_demo(request: DemoRequest) -> Iterator[Chapter | Note | ParityTable]:
    """Train, generate, compare and report; yield what there is to show, as it happens.

    The folder that it fills is there whole at the end, or not at all.

    Args:
        request: what is asked for.

    Raises:
        MinilmError: for less than 20 steps, or a folder that exists or cannot be made.
    """
    if request.steps < 20:
        raise MinilmError(f"--steps must be 20 or more, got {request.steps}")
    began = perf_counter()
    final = _free_folder(request.out)
    with new_folder(final) as folder:
        with_gpt2 = yield from _chapters(request, folder)
    yield Note(
        f"Done in {perf_counter() - began:.0f} s. Open {final / 'report.html'} in a browser; then try:"
    )
    yield Note(f"  minilm generate --model {final / 'lstm'} --prompt 'One day' --live")
    if with_gpt2:
        yield Note(f"  minilm generate --model hf:{final / 'gpt2'} --prompt 'One day'")
    yield Note(f"  minilm generate --model {final / 'lstm'} --backend numpy --show full --max-tokens 3")


def _chapters(request: DemoRequest, folder: Path) -> Generator[Chapter | Note | ParityTable, None, bool]:
    """Fill the folder, chapter by chapter; return if a GPT-2 was trained too."""
    seed, titles = request.seed, iter(range(1, 7))

    def begin(title: str) -> Chapter:
        return Chapter(next(titles), 6, title)

    yield begin("Stories, a tokenizer, and the entropy that no model can get below")
    ground = write_text(folder, seed)
    vocabulary = f"vocabulary {ground.codec.vocab_size}"
    yield Note(f"{ground.floor.per_token:.3f} nats per token is the floor; {vocabulary}")
    yield begin("One LSTM in every installed framework, from the same weights on the same batches")
    start = compare_start(ground, seed)
    yield ParityTable(start.rows())
    yield begin(f"Training on for {request.steps} steps in {start.best}")
    trained = train_lstm(folder, ground, start.best, request.steps, seed)
    yield Note(trained.describe(ground.floor))
    yield begin(f"The streaming debugger: {PROMPT!r}, {STAGES}, in every framework")
    runs = {name: generate(folder, folder / "lstm", name, seed) for name in start.names}
    for step in next(iter(runs.values())).steps[:2]:
        yield Note(render(step))
    yield Note(_compare_texts({name: run.text for name, run in runs.items()}))
    yield begin("A tiny GPT-2 of Hugging Face on the same text, under the same debugger")
    gpt2 = train_gpt2(folder, ground, seed)
    if gpt2 is not None:
        runs["hf gpt2"] = generate(folder, f"hf:{folder / 'gpt2'}", None, seed)
        yield Note(render(runs["hf gpt2"].steps[0]))
    else:
        yield Note(missing_package("This chapter", "torch with transformers", "hf"))
    yield begin("Pictures and the report")
    # Imported here, because matplotlib takes a while to import.
    from minilm.workflows.demo_report import write_report

    write_report(folder, ground, start, trained, gpt2, runs, STAGES)
    return gpt2 is not None


def _compare_texts(texts: Mapping[str, str]) -> str:
    first = next(iter(texts.values()))
    if all(text == first for text in texts.values()):
        return f"The same text in {', '.join(texts)}: {first!r}"
    return "\n".join(f"{name}: {text!r}" for name, text in texts.items())


def _free_folder(out: str | None) -> Path:
    """Return the folder to make: the one named, which must be new, or the first of demo, demo-2, ..."""
    if out is not None:
        if Path(out).exists():
            raise MinilmError(f"--out {out} exists already; name a new folder, or remove it")
        return Path(out)
    number = 1
    while (folder := Path("demo" if number == 1 else f"demo-{number}")).exists():
        number += 1
    return folder


def write_text(folder: Path, seed: int) -> Ground:
    """Make stories, train a tokenizer on them, and compute their exact entropy under it."""
    check_tokenizer()
    import tokenizer

    corpus = from_storyland(8_000, seed, held_out=200)
    with tokenizer_errors():
        codec = tokenizer.train(lines=corpus.train[:4_000], vocab_size=RECIPE.vocab_size)
    (folder / "stories.txt").write_text("\n\n".join(corpus.train[:200]), encoding="utf-8", newline="\n")
    batches = Batches(encode_documents(codec, corpus.train), RECIPE.batch, RECIPE.length, seed)
    held_out = tuple(in_order(encode_documents(codec, corpus.held_out), 32, RECIPE.length))
    return Ground(corpus.train, codec, floor(storyland(), codec), batches, held_out)


def _config(ground: Ground, seed: int) -> ModelConfig:
    adam = OptimizerConfig(beta2=RECIPE.beta2)
    sizes = ground.codec.vocab_size, RECIPE.embedding, RECIPE.hidden
    return ModelConfig(*sizes, seed=seed, optimizer=adam)


def compare_start(ground: Ground, seed: int) -> Start:
    """Make the same first steps from the same weights in every framework that is installed."""
    names = tuple(sorted(backends.available(), key=["numpy", "torch", "tensorflow"].index))
    text = np.array(ground.codec.encode(ground.stories[0], special=True))
    steps, logits = {}, {}
    for name in names:
        model = backends.create(name, _config(ground, seed))
        run = fit(model, ground.batches, Schedule(COMMON_RATE, COMMON_STEPS))
        steps[name] = tuple(show_training(run, COMMON_STEPS, name))
        logits[name] = model.read(text, rows="all").logits
    return Start(names, steps, logits)


def train_lstm(folder: Path, ground: Ground, name: str, steps: int, seed: int) -> Trained:
    """Train the LSTM in one framework, and save it as a folder that opens in all of them."""
    model = backends.create(name, _config(ground, seed))
    trained = _trained(model, ground, steps, "LSTM")
    write_model(folder / "lstm", model.config, model.weights(), ground.codec.model_bytes)
    return trained


def _trained(model: Trainable, ground: Ground, steps: int, label: str, rate: float = RECIPE.rate) -> Trained:
    run = fit(model, ground.batches, Schedule(rate, steps))
    return Trained(tuple(show_training(run, steps, label)), evaluate(model, ground.held_out))


def train_gpt2(folder: Path, ground: Ground, seed: int) -> Trained | None:
    """Train a tiny GPT-2 on the same ids and save it as transformers does; None without transformers."""
    if not (find_spec("torch") and find_spec("transformers")):
        return None
    from minilm.backends.huggingface import open as huggingface
    from tokenizer.huggingface import to_transformers

    special = ground.codec.special_ids
    model = huggingface.create_gpt2(
        ground.codec.vocab_size,
        layers=2,
        heads=4,
        width=64,
        context=512,
        seed=seed,
        bos=special["bos"],
        eos=special["eos"],
    )
    trained = _trained(model, ground, GPT2_STEPS, "GPT-2", rate=3e-3)
    model.save(folder / "gpt2")
    to_transformers(ground.codec).save_pretrained(folder / "gpt2")
    return trained


def generate(folder: Path, source: str | Path, backend: str | None, seed: int) -> Run:
    """Open a model as a user would, generate one text, and leave its trace beside the models."""
    cursor = open_model(str(source), backend=backend).start(PROMPT, STAGES, seed, max_tokens=40, top=8)
    steps = []
    path = folder / f"trace-{backend or 'gpt2'}.jsonl"
    with path.open("w", encoding="utf-8", newline="\n") as file, TraceWriter(file, cursor) as trace:
        for step in cursor.steps():
            trace.step(step)
            steps.append(step)
    return Run(tuple(cursor.ids.tolist()), tuple(steps))
