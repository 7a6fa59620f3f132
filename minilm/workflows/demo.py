"""What the demo does, chapter by chapter; every part is a call that a user could make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import tokenizer
from minilm import backends
from minilm.builtin import PROMPT, RECIPE
from minilm.faces.progress import training
from minilm.generation import start
from minilm.protocols import Trainable
from minilm.records import Array, ModelConfig, OptimizerConfig, Step, TrainStep
from minilm.storage.model_folder import write_model
from minilm.trace import TraceWriter
from minilm.training.batches import Batch, Batches, encode_documents, in_order
from minilm.training.corpus import from_storyland
from minilm.training.fit import Schedule, evaluate, fit
from minilm.training.storyland.entropy import Floor, floor
from minilm.training.storyland.stories import storyland
from minilm.workflows.open import open_model

__all__ = [
    "Ground",
    "Run",
    "Start",
    "Trained",
    "compare_start",
    "generate",
    "train_gpt2",
    "train_lstm",
    "write_text",
]

STAGES = "Temperature(0.8) TopK(40) TopP(0.95)"

COMMON_STEPS = 30  # taken in every framework, to see that they agree

COMMON_RATE = 1e-2

BAR = 0.15  # nats per token: how far above the floor the LSTM may stay


@dataclass(frozen=True)
class Ground:
    """The text and its tokenizer, and what follows from them."""

    stories: tuple[str, ...]
    codec: Any
    floor: Floor
    batches: Batches
    held_out: tuple[Batch, ...]


@dataclass(frozen=True)
class Start:
    """The first steps in every framework, and then the logits (T, V) of one text, by framework."""

    names: tuple[str, ...]
    steps: Mapping[str, Sequence[TrainStep]]
    logits: Mapping[str, Array]

    @property
    def best(self) -> str:
        """The framework to train on in: torch where there is one."""
        return next(name for name in ("torch", "tensorflow", "numpy") if name in self.names)

    def rows(self) -> list[list[str]]:
        """A parity table: heading, then a row for each framework against the first."""
        first = self.names[0]
        count = len(self.steps[first])
        rows = [["framework", "loss 1", f"loss {count}", f"most apart from {first}", "logits apart"]]
        for name in self.names:
            pairs = zip(self.steps[name], self.steps[first], strict=True)
            apart = max(abs(mine.loss - other.loss) for mine, other in pairs)
            logits = float(np.abs(self.logits[name] - self.logits[first]).max())
            mine = self.steps[name]
            rows.append(
                [name, f"{mine[0].loss:.6f}", f"{mine[-1].loss:.6f}", f"{apart:.1e}", f"{logits:.1e}"]
            )
        return rows


@dataclass(frozen=True)
class Trained:
    """A finished training: its steps and the last validation loss, nats per token."""

    steps: Sequence[TrainStep]
    validation: float

    def above(self, floor: Floor) -> float:
        """Nats per token that it is worse than a perfect model."""
        return self.validation - floor.per_token

    def said(self, floor: Floor) -> str:
        """The validation loss, how far it is above the floor, and whether that is within the bar."""
        gap = self.above(floor)
        kept = f"within the bar of {BAR}" if gap <= BAR else f"the bar of {BAR} is missed; give more --steps"
        return f"validation {self.validation:.3f} nats per token, {gap:.3f} above the floor: {kept}"


@dataclass(frozen=True)
class Run:
    """One generation: the prompt's ids and the steps."""

    prompt_ids: tuple[int, ...]
    steps: tuple[Step, ...]

    @property
    def text(self) -> str:
        """What was generated."""
        return "".join(step.new_text for step in self.steps)


def write_text(folder: Path, seed: int) -> Ground:
    """Stories, a tokenizer trained on them, and their true entropy under it."""
    corpus = from_storyland(8_000, seed, held_out=200)
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
    """The same first steps from the same weights in every framework that is installed."""
    names = tuple(sorted(backends.available(), key=["numpy", "torch", "tensorflow"].index))
    text = np.array(ground.codec.encode(ground.stories[0], special=True))
    steps, logits = {}, {}
    for name in names:
        model = backends.create(name, _config(ground, seed))
        run = fit(model, ground.batches, Schedule(COMMON_RATE, COMMON_STEPS))
        steps[name] = tuple(training(run, COMMON_STEPS, name))
        logits[name] = model.read(text, rows="all").logits
    return Start(names, steps, logits)


def train_lstm(folder: Path, ground: Ground, name: str, steps: int, seed: int) -> Trained:
    """The LSTM, trained in one framework and saved as a folder that opens in all of them."""
    model = backends.create(name, _config(ground, seed))
    trained = _trained(model, ground, steps, "LSTM")
    write_model(folder / "lstm", model.config, model.weights(), ground.codec.model_bytes)
    return trained


def _trained(model: Trainable, ground: Ground, steps: int, label: str, rate: float = RECIPE.rate) -> Trained:
    run = fit(model, ground.batches, Schedule(rate, steps))
    return Trained(tuple(training(run, steps, label)), evaluate(model, ground.held_out))


def train_gpt2(folder: Path, ground: Ground, seed: int, steps: int = 300) -> Trained | None:
    """A tiny GPT-2 on the same ids, saved as transformers saves it; None without transformers."""
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
    trained = _trained(model, ground, steps, "GPT-2", rate=3e-3)
    model.save(folder / "gpt2")
    to_transformers(ground.codec).save_pretrained(folder / "gpt2")
    return trained


def generate(folder: Path, source: str | Path, backend: str | None, seed: int) -> Run:
    """One text under the debugger, its trace beside the models; opened as a user would open it."""
    opened = open_model(str(source), backend)
    cursor = start(
        opened.model, opened.codec, PROMPT, STAGES, seed, max_tokens=40, eos_ids=opened.eos_ids, top=8
    )
    steps = []
    path = folder / f"trace-{backend or 'gpt2'}.jsonl"
    with path.open("w", encoding="utf-8", newline="\n") as file, TraceWriter(file, cursor) as trace:
        for step in cursor.steps():
            trace.step(step)
            steps.append(step)
    return Run(tuple(cursor.ids.tolist()), tuple(steps))
