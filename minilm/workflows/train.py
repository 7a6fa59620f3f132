"""What minilm train prepares: text, tokenizer, batches and model of a new run, or of one that goes on.

Settings are plain JSON, so that a checkpoint can carry them and a resumed run needs no flags.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tokenizer
from minilm import builtin
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import ModelConfig, OptimizerConfig, TrainStep
from minilm.training.batches import Batch, Batches, encode_documents, in_order
from minilm.training.checkpoint import newest
from minilm.training.corpus import Corpus, from_files, from_storyland
from minilm.training.fit import Schedule, fit, planned_steps
from minilm.training.storyland.entropy import Floor, floor
from minilm.training.storyland.stories import storyland
from minilm.workflows.workers import model_of

__all__ = ["Run", "fresh", "resumed"]

FILES = builtin.Recipe(2000, 64, 128, dropout=0.3, batch=8, length=64, rate=5e-3, beta2=0.999, steps=4000)

HELD_OUT_LENGTH = 1024  # validation windows are longer than training ones: fewer tokens without a past


@dataclass(frozen=True, eq=False)
class Run:
    """A run that is ready to go: from step `start`, with what it takes to say and to save what happens.

    characters: of held-out text per held-out token; settings: what a checkpoint carries; notices: lines
    for the user.
    """

    model: Trainable
    codec: tokenizer.Tokenizer
    batches: Batches
    held_out: tuple[Batch, ...]
    characters: float
    settings: Mapping[str, Any]
    floor: Floor | None
    start: int = 0
    tokens: int = 0
    notices: tuple[str, ...] = ()

    def steps(self) -> Iterator[TrainStep]:
        """The records of the training, validation among them some ten times."""
        s = self.settings
        return fit(
            self.model,
            self.batches,
            Schedule(s["rate"], s["steps"]),
            clip=s["clip"] or None,
            validation=self.held_out,
            every=max(s["steps"] // 10, 1),
            start=self.start,
            tokens=self.tokens,
        )


def fresh(options: Mapping[str, Any]) -> Run:
    """A new run from the command's options."""
    corpus = from_files(options["text"]) if options["text"] else from_storyland(seed=options["seed"])
    usual = asdict(builtin.RECIPE if corpus.whole else FILES)
    settings = {**usual, **{name: options[name] for name in _SETTINGS if options[name] is not None}}
    settings["text"] = [str(Path(path).resolve()) for path in options["text"]]
    settings["digest"] = _digest(corpus)
    codec = _codec(corpus, options["tokenizer"], settings["vocab_size"])
    config = ModelConfig(
        codec.vocab_size,
        settings["embedding"],
        settings["hidden"],
        options["layers"],
        settings["dropout"],
        options["seed"],
        OptimizerConfig(beta2=settings["beta2"]),
    )
    run = _run(corpus, codec, config, settings, options["device"])
    if options["minutes"] is None:
        return run
    steps = planned_steps(run.model, run.batches, options["minutes"])
    notice = f"{options['minutes']:g} minutes are about {steps} steps here, measured on the first few"
    return replace(run, settings={**settings, "steps": steps}, notices=(*run.notices, notice))


def resumed(checkpoints: Path, options: Mapping[str, Any]) -> Run:
    """The run of a folder's newest checkpoint; of the options only steps, backend and device count.

    Raises MinilmError where the text is no longer the one that the run began with.
    """
    saved = newest(checkpoints)
    settings = {**saved.run, **({"steps": options["steps"]} if options["steps"] else {})}
    if options["backend_given"]:
        settings["backend"] = options["backend"]
    corpus = from_files(settings["text"]) if settings["text"] else from_storyland(seed=settings["seed"])
    if _digest(corpus) != settings["digest"]:
        raise MinilmError(
            f"The text of {checkpoints.parent} has changed since the run began; start a new run"
        )
    if saved.tokenizer_bytes is None:
        raise MinilmError(f"{checkpoints} holds no tokenizer; start a new run")
    codec = tokenizer.Tokenizer(saved.tokenizer_bytes)
    run = _run(corpus, codec, saved.config, settings, options["device"])
    run.model.restore(saved.arrays)
    return replace(run, start=saved.step, tokens=saved.tokens, notices=(*saved.skipped, *run.notices))


_SETTINGS = (  # options that a run remembers
    *("backend", "vocab_size", "embedding", "hidden", "dropout", "batch", "length", "rate", "clip"),
    *("seed", "dtype", "steps"),
)


def _run(
    corpus: Corpus, codec: tokenizer.Tokenizer, config: ModelConfig, settings: Mapping[str, Any], device: str
) -> Run:
    documents = encode_documents(codec, corpus.train)
    length, longest = settings["length"], max(len(document) for document in documents) - 1
    notices = codec.notices
    if length > longest and not corpus.whole:
        notices = (*notices, f"the text has {longest + 1} tokens; rows are {longest} long, not {length}")
    held = encode_documents(codec, corpus.held_out)
    held_out = tuple(in_order(held, 8, max(HELD_OUT_LENGTH, length)))
    targets = sum(batch.tokens for batch in held_out)
    return Run(
        model_of(settings, config, device),
        codec,
        Batches(documents, settings["batch"], length, settings["seed"]),
        held_out,
        sum(map(len, corpus.held_out)) / targets,
        settings,
        floor(storyland(), codec) if corpus.whole else None,
        notices=notices,
    )


def _codec(corpus: Corpus, path: str | None, vocab_size: int) -> tokenizer.Tokenizer:
    try:
        if path is not None:
            return tokenizer.load(path)
        return tokenizer.train(lines=corpus.train[:4000], vocab_size=vocab_size)
    except tokenizer.TokenizerError as error:
        raise MinilmError(str(error)) from None


def _digest(corpus: Corpus) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in corpus.train + corpus.held_out:
        digest.update(f"{len(text)}\n{text}".encode())
    return digest.hexdigest()
