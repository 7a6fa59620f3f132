"""Train a tokenizer and an LSTM: a new training, or one that goes on from its checkpoints."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from math import inf, isfinite
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from minilm import backends, builtin
from minilm.backends.processes import LostWorkerError, this_worker
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import ModelConfig, OptimizerConfig, TrainStep
from minilm.storage.model_folder import write_model
from minilm.training.batches import Batch, Batches, encode_documents, in_order
from minilm.training.checkpoint import newest, save
from minilm.training.corpus import Corpus, from_files, from_storyland
from minilm.training.fit import Schedule, fit, planned_steps
from minilm.training.storyland.entropy import Floor, floor
from minilm.training.storyland.stories import storyland
from minilm.training.timeline.timeline import Timeline
from minilm.workflows.codec import load_codec, tokenizer_errors
from minilm.workflows.open import Opened
from minilm.workflows.workers import agree, leave, model_of_worker, updates_made

if TYPE_CHECKING:
    from tokenizer import Tokenizer

__all__ = ["Training", "TrainingRequest"]

# What a training on files uses where nothing is asked for; the stories have a recipe of their own.
FILES = builtin.Recipe(2000, 64, 128, dropout=0.3, batch=8, length=64, rate=5e-3, beta2=0.999, steps=4000)

# Tokens of a validation row: longer than a training row, so that fewer tokens have no past.
HELD_OUT_LENGTH = 1024

SECONDS_BETWEEN_SAVES = 30.0

Paths = str | Path | Iterable[str | Path]


@dataclass(frozen=True)
class TrainingRequest:
    """What is asked of a training; None means: the usual value for files, or for the stories.

    Attributes:
        text: files of UTF-8 text; none for the built-in stories.
        out: folder for checkpoints and the finished model; None writes nothing.
        resume: go on from the newest checkpoint in `out`, with its settings; of the other fields only
            steps, backend and device count then.
        backend: "numpy", "torch" or "tensorflow"; torch where it is installed, else NumPy.
        steps: updates to make: 4,000 for files, 1,200 for stories.
        minutes: instead of steps: as many as fit, measured on the first few.
        tokenizer: a .model file; by default one is trained on the text.
        vocab_size: of the tokenizer that is trained: 2,000 for files, 800 for stories.
        embedding: numbers of an embedding, E: 64 for files, 48 for stories.
        hidden: units of an LSTM layer, H: 128.
        layers: LSTM layers.
        dropout: share of the units that is left out after every layer: 0.3 for files, 0 for stories.
        batch: rows of a batch, B: 8.
        length: tokens of a row, T: 64 for files, a whole story for stories.
        rate: the highest learning rate of Adam: 0.005 for files, 0.02 for stories.
        clip: bound of the global gradient norm; 0 for none.
        seed: of weights, order of the data and dropout.
        device: "cpu", "cuda", "mps" ...
        dtype: "float32" or "float64".
    """

    text: tuple[str, ...] = ()
    out: str | None = None
    resume: bool = False
    backend: str | None = None
    steps: int | None = None
    minutes: float | None = None
    tokenizer: str | None = None
    vocab_size: int | None = None
    embedding: int | None = None
    hidden: int | None = None
    layers: int = 1
    dropout: float | None = None
    batch: int | None = None
    length: int | None = None
    rate: float | None = None
    clip: float = 1.0
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class Settings:
    """The settings that a checkpoint carries, so that a training goes on without being told them again.

    Attributes:
        text: the files, as full paths; empty for the stories.
        digest: of the text, so that a training never goes on with another one.
    """

    vocab_size: int
    embedding: int
    hidden: int
    dropout: float
    batch: int
    length: int
    rate: float
    beta2: float
    steps: int
    backend: str
    clip: float
    seed: int
    dtype: str
    text: tuple[str, ...]
    digest: str

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON."""
        return asdict(self) | {"text": list(self.text)}

    @classmethod
    def from_json(cls, values: Any, source: object) -> Settings:
        """Read what `to_json` gave. Raises MinilmError, naming `source`, where a setting is missing."""
        if missing := [f.name for f in fields(cls) if f.name not in values]:
            raise MinilmError(f"{source} does not say the {missing[0]} of its training; start a new run")
        kept: dict[str, Any] = {f.name: values[f.name] for f in fields(cls)}
        kept["text"] = tuple(kept["text"])
        return cls(**kept)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """All that a training needs before its first step.

    Attributes:
        held_out: batches for validation.
        characters: characters of held-out text per held-out token.
        floor: the entropy of the stories, which no model can get below; None for other texts.
        start: updates that were made before.
        tokens: targets that were seen before.
        notices: lines for the user.
    """

    model: Trainable
    codec: Tokenizer
    batches: Batches
    held_out: tuple[Batch, ...]
    characters: float
    settings: Settings
    floor: Floor | None
    start: int = 0
    tokens: int = 0
    notices: tuple[str, ...] = ()


class Training:
    """A training that is run by iterating over it: `for step in training: print(step.loss)`.

    Building it only checks the request. The first use of it reads the text and trains the tokenizer.
    Iterating yields a TrainStep after every update; who stops and iterates again goes on where the last
    iteration stopped. With `out`, checkpoints are written every 30 seconds and at the end, and then the
    finished model; without it nothing is written.

    >>> training = Training(backend="numpy", steps=2, hidden=8, embedding=8)
    >>> [step.index for step in training]
    [1, 2]
    >>> training.open().model.vocab_size
    800
    """

    def __init__(
        self,
        text: Paths | None = None,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        backend: str | None = None,
        steps: int | None = None,
        minutes: float | None = None,
        tokenizer: str | Path | None = None,
        vocab_size: int | None = None,
        embedding: int | None = None,
        hidden: int | None = None,
        layers: int = 1,
        dropout: float | None = None,
        batch: int | None = None,
        length: int | None = None,
        rate: float | None = None,
        clip: float = 1.0,
        seed: int = 0,
        device: str = "cpu",
        dtype: str = "float32",
    ) -> None:
        """Check what is asked for; the arguments are the fields of TrainingRequest.

        Raises:
            MinilmError: for arguments that contradict each other, or an `out` that exists already.
        """
        paths = () if text is None else (text,) if isinstance(text, str | Path) else tuple(text)
        self.request = TrainingRequest(
            tuple(map(str, paths)),
            None if out is None else str(out),
            resume,
            backend,
            steps,
            minutes,
            None if tokenizer is None else str(tokenizer),
            vocab_size,
            embedding,
            hidden,
            layers,
            dropout,
            batch,
            length,
            rate,
            clip,
            seed,
            device,
            dtype,
        )
        self._index: int | None = None
        self._tokens = 0
        _check(self.request)

    @classmethod
    def of(cls, request: TrainingRequest) -> Training:
        """Build a training from a whole request."""
        return cls(**{field.name: getattr(request, field.name) for field in fields(TrainingRequest)})

    @cached_property
    def _prepared(self) -> _Prepared:
        return _resume(self.request) if self.request.resume else _begin(self.request)

    @property
    def model(self) -> Trainable:
        """The model, with the weights of the last step."""
        return self._prepared.model

    @property
    def codec(self) -> Tokenizer:
        """The tokenizer."""
        return self._prepared.codec

    @property
    def batches(self) -> Batches:
        """The batch of every step."""
        return self._prepared.batches

    @property
    def settings(self) -> Settings:
        """What the training runs with, every usual value filled in."""
        return self._prepared.settings

    @property
    def floor(self) -> Floor | None:
        """The entropy of the stories, which no model can get below; None for a text of your own."""
        return self._prepared.floor

    @property
    def characters(self) -> float:
        """Characters of held-out text per held-out token."""
        return self._prepared.characters

    @property
    def notices(self) -> tuple[str, ...]:
        """Lines that the user should see before the training begins."""
        return self._prepared.notices

    @property
    def index(self) -> int:
        """How many updates have been made."""
        return self._prepared.start if self._index is None else self._index

    @property
    def tokens(self) -> int:
        """How many targets have been seen."""
        return self._prepared.tokens if self._index is None else self._tokens

    @property
    def folder(self) -> Path | None:
        """Where the finished model is written; None without `out`."""
        return None if self.request.out is None else Path(self.request.out) / "model"

    def __iter__(self) -> Iterator[TrainStep]:
        """Train: yield a TrainStep after every update, with a validation some ten times.

        Raises:
            MinilmError: where a loss or a gradient is not finite, or the disk refuses.
            LostWorkerError: where another process of the training is gone; what was made is saved first.
        """
        settings = self.settings
        # One of several workers may be lost at any time, so their first step is saved at once.
        saved = monotonic() if this_worker().size == 1 else -inf
        steps = fit(
            self.model,
            self.batches,
            Schedule(settings.rate, settings.steps),
            clip=settings.clip or None,
            validation=self._prepared.held_out,
            every=max(settings.steps // 10, 1),
            start=self.index,
            tokens=self.tokens,
        )
        try:
            for step in steps:
                self._index, self._tokens = step.index, step.tokens
                last = step.index == settings.steps
                if last or monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    self.save()
                    saved = monotonic()
                if last:
                    self._write_model()
                yield step
        except LostWorkerError:
            made = updates_made(self.model)
            lost = range(self.index, made)
            self._tokens = self.tokens + sum(self.batches.batch(step).tokens for step in lost)
            self._index = made
            if made > self._prepared.start:
                self.save()
            raise

    def save(self) -> None:
        """Write a checkpoint of this place below `out`; of several workers the first alone writes."""
        if self.request.out is not None and this_worker().leads:
            place = Path(self.request.out) / "checkpoints"
            settings, bytes_ = self.settings.to_json(), self.codec.model_bytes
            save(place, self.model, self.index, self.tokens, settings, bytes_)

    def open(self) -> Opened:
        """Return the model as it is now with its tokenizer, as `minilm.open` does."""
        return Opened(self.model, self.codec, (self.codec.special_ids["eos"],))

    def timeline(self, folder: str | Path | None = None) -> Timeline:
        """Return the place before the next step, from which to go forward and back.

        The model belongs to the timeline from here on.

        Args:
            folder: where to keep snapshots; in memory by default.

        Raises:
            MinilmError: where all steps have been made.
        """
        settings = self.settings
        if self.index >= settings.steps:
            made = f"{self.request.out or 'The training'} has made all its {self.index} steps"
            raise MinilmError(f"{made}; give more with --steps")
        return Timeline(
            self.model,
            self.batches,
            Schedule(settings.rate, settings.steps),
            clip=settings.clip or None,
            start=self.index,
            tokens=self.tokens,
            codec=self.codec,
            folder=folder,
        )

    def finish(self) -> None:
        """Wait until every worker is done, so that none is missed by another."""
        leave()

    def _write_model(self) -> None:
        """Write the finished model; that of a resumed training takes the place of the old one."""
        if self.folder is None or not this_worker().leads:
            return
        fresh = self.folder.with_name(".model-new")
        shutil.rmtree(fresh, ignore_errors=True)
        write_model(fresh, self.model.config, self.model.weights(), self.codec.model_bytes)
        # The old model goes only when the new one is whole on the disk.
        shutil.rmtree(self.folder, ignore_errors=True)
        fresh.rename(self.folder)


def _check(request: TrainingRequest) -> None:
    if request.steps and request.minutes:
        raise MinilmError("Give --steps or --minutes, not both")
    if request.minutes is not None and not (isfinite(request.minutes) and request.minutes > 0):
        raise MinilmError(f"--minutes must be above 0, got {request.minutes}")
    if request.resume and request.out is None:
        raise MinilmError("resume goes on from the checkpoints of a folder; give it as out")
    if not request.resume and request.out is not None and os.path.lexists(request.out):
        raise MinilmError(
            f"{request.out} exists already; give a new --out, or go on with --resume (nothing was changed)"
        )


def _begin(request: TrainingRequest) -> _Prepared:
    """Prepare a new training."""
    corpus = from_files(request.text) if request.text else from_storyland(seed=request.seed)
    settings = _settings(request, corpus)
    with tokenizer_errors():
        codec = _codec(corpus, request.tokenizer, settings.vocab_size)
    config = ModelConfig(
        codec.vocab_size,
        settings.embedding,
        settings.hidden,
        request.layers,
        settings.dropout,
        request.seed,
        OptimizerConfig(beta2=settings.beta2),
    )
    prepared = _prepare(corpus, codec, config, settings, request.device)
    if request.minutes is not None:
        steps = planned_steps(prepared.model, prepared.batches, request.minutes)
        notice = f"{request.minutes:g} minutes are about {steps} steps here, measured on the first few"
        prepared = replace(
            prepared, settings=replace(settings, steps=steps), notices=(*prepared.notices, notice)
        )
    return _agreed(prepared)


def _resume(request: TrainingRequest) -> _Prepared:
    """Prepare to go on from a folder's newest checkpoint.

    Raises:
        MinilmError: where the text is no longer the one that the training began with.
    """
    checkpoints = Path(request.out or "") / "checkpoints"
    saved = newest(checkpoints)
    settings = Settings.from_json(saved.run, checkpoints)
    settings = replace(
        settings, steps=request.steps or settings.steps, backend=request.backend or settings.backend
    )
    corpus = from_files(settings.text) if settings.text else from_storyland(seed=settings.seed)
    if _digest(corpus) != settings.digest:
        raise MinilmError(f"The text of {request.out} has changed since the run began; start a new run")
    if saved.tokenizer_bytes is None:
        raise MinilmError(f"{checkpoints} holds no tokenizer; start a new run")
    import tokenizer

    with tokenizer_errors():
        codec = tokenizer.Tokenizer(saved.tokenizer_bytes)
    prepared = _prepare(corpus, codec, saved.config, settings, request.device)
    prepared.model.restore(saved.arrays)
    notices = (*saved.skipped, *prepared.notices)
    return _agreed(replace(prepared, start=saved.step, tokens=saved.tokens, notices=notices))


def _settings(request: TrainingRequest, corpus: Corpus) -> Settings:
    """The settings of a new training: what is asked for, else what is usual for such a text."""
    usual = asdict(builtin.RECIPE if corpus.whole else FILES)
    asked = {name: value for name, value in asdict(request).items() if value is not None}
    return Settings(
        **{name: asked.get(name, value) for name, value in usual.items()},
        backend=request.backend or ("torch" if "torch" in backends.available() else "numpy"),
        clip=request.clip,
        seed=request.seed,
        dtype=request.dtype,
        text=tuple(str(Path(path).resolve()) for path in request.text),
        digest=_digest(corpus),
    )


def _prepare(
    corpus: Corpus, codec: Tokenizer, config: ModelConfig, settings: Settings, device: str
) -> _Prepared:
    """Encode the text and make the model."""
    documents = encode_documents(codec, corpus.train)
    length, longest = settings.length, max(len(document) for document in documents) - 1
    notices = codec.notices
    if length > longest and not corpus.whole:
        notices = (*notices, f"the text has {longest + 1} tokens; rows are {longest} long, not {length}")
    held = encode_documents(codec, corpus.held_out)
    held_out = tuple(in_order(held, 8, max(HELD_OUT_LENGTH, length)))
    targets = sum(batch.tokens for batch in held_out)
    return _Prepared(
        model_of_worker(settings.backend, config, settings.dtype, device),
        codec,
        Batches(documents, settings.batch, length, settings.seed),
        held_out,
        sum(map(len, corpus.held_out)) / targets,
        settings,
        floor(storyland(), codec) if corpus.whole else None,
        notices=notices,
    )


def _agreed(prepared: _Prepared) -> _Prepared:
    """The same training in every worker, with as many steps as the first one plans."""
    facts = (
        {name: value for name, value in prepared.settings.to_json().items() if name not in ("text", "steps")},
        prepared.start,
        prepared.tokens,
        asdict(prepared.model.config),
    )
    steps = agree(prepared.model, prepared.codec.model_bytes, prepared.settings.steps, facts)
    return replace(prepared, settings=replace(prepared.settings, steps=steps))


def _codec(corpus: Corpus, path: str | None, vocab_size: int) -> Tokenizer:
    import tokenizer

    if path is not None:
        return load_codec(path)
    return tokenizer.train(lines=corpus.train[:4000], vocab_size=vocab_size)


def _digest(corpus: Corpus) -> str:
    """A digest of all documents, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for text in corpus.train + corpus.held_out:
        digest.update(f"{len(text)}\n{text}".encode())
    return digest.hexdigest()
