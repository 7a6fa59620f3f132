"""Train a tokenizer and an LSTM: a new training, or one that goes on from its checkpoints."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from functools import cached_property
from math import inf, isfinite
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from minilm.backends.processes import LostWorkerError, this_worker
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import TrainStep
from minilm.storage.lock import LOCK, FolderLock
from minilm.storage.model_folder import write_model
from minilm.training.checkpoint import save_checkpoint
from minilm.training.clock import Clock, foresee
from minilm.training.fit import Schedule, fit
from minilm.training.timeline.timeline import Timeline
from minilm.workflows.open import Opened
from minilm.workflows.prepare import Prepared, TrainingRequest, TrainingSettings, prepare
from minilm.workflows.workers import leave, updates_made

if TYPE_CHECKING:
    from tokenizer import Tokenizer

__all__ = ["Training", "TrainingRequest"]

SECONDS_BETWEEN_SAVES = 30.0

Paths = str | Path | Iterable[str | Path]


class Training:
    """A training that is run by iterating over it: `for step in training: print(step.loss)`.

    Building it only checks the request. The first use of it reads the text and trains the tokenizer.
    Iterating yields a TrainStep after every update. If you stop and iterate again, it goes on where the last
    iteration stopped. With `resume` it goes on from the newest checkpoint in `out` (see prepare.py). With
    `out`, checkpoints are written every 30 seconds and at the end, and then the finished model; without it
    nothing is written.

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
        clip: float | None = None,
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
            text=tuple(map(str, paths)),
            out=None if out is None else str(out),
            resume=resume,
            backend=backend,
            steps=steps,
            minutes=minutes,
            tokenizer=None if tokenizer is None else str(tokenizer),
            vocab_size=vocab_size,
            embedding=embedding,
            hidden=hidden,
            layers=layers,
            dropout=dropout,
            batch=batch,
            length=length,
            rate=rate,
            clip=clip,
            seed=seed,
            device=device,
            dtype=dtype,
        )
        self._index: int | None = None
        self._tokens = 0
        self._lock: FolderLock | None = None
        self._stopping = False
        self._clock: Clock | None = None
        _check(self.request)

    @classmethod
    def of(cls, request: TrainingRequest) -> Training:
        """Build a training from a whole request."""
        return cls(**{field.name: getattr(request, field.name) for field in fields(TrainingRequest)})

    def begin(self) -> None:
        """Lock the folder of `out`, and prepare; iterating does it too.

        Raises:
            MinilmError: where another training runs in the folder, or it cannot be written; or for what
                `prepare` refuses, and then a new folder is removed again.
        """
        self._claim()
        try:
            _check_space(self.request.out, self.prepared.model)
        except BaseException:
            self._release()
            raise

    def _claim(self) -> None:
        """Lock the folder; of several workers the first alone does."""
        if self._lock is not None or self.request.out is None or not this_worker().leads:
            return
        # A resumed training without a folder has no checkpoint: `prepare` says so.
        if self.request.resume and not Path(self.request.out).is_dir():
            return
        self._lock = FolderLock(self.request.out)
        # Another training may have begun and ended since this one was asked for.
        _check(self.request)

    def stop(self) -> None:
        """Let a validation that is under way end after its current batch; a signal handler may call it.

        The step is yielded without a validation. Whoever iterates decides if it is the last one.
        """
        self._stopping = True

    def _gives_up(self) -> bool:
        """Return whether a validation is to end: the training is stopped, or its time is gone."""
        # Several workers validate together, so none of them may look at its own clock.
        late = self._clock is not None and this_worker().size == 1 and self._clock.late()
        return self._stopping or late

    @property
    def settings(self) -> TrainingSettings:
        """The settings, with the time that has gone and the steps that it was enough for."""
        settings, clock = self.prepared.settings, self._clock
        if clock is None:
            return settings
        steps = self.index if clock.over else max(settings.steps, self.index + 1)
        return replace(settings, steps=steps, spent=clock.gone(), parts=clock.schedule.parts)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @cached_property
    def prepared(self) -> Prepared:
        """Text, tokenizer, batches, model and settings; made on first use."""
        began = monotonic()
        prepared = prepare(self.request)
        self._clock = prepared.clock()
        if self._clock is not None:
            # The user waits for the preparation too.
            self._clock.spent += monotonic() - began
        return prepared

    @property
    def model(self) -> Trainable:
        """The model, with the weights of the last step."""
        return self.prepared.model

    @property
    def codec(self) -> Tokenizer:
        """The tokenizer."""
        return self.prepared.codec

    @property
    def index(self) -> int:
        """The number of updates made."""
        return self.prepared.start if self._index is None else self._index

    @property
    def tokens(self) -> int:
        """The number of targets seen."""
        return self.prepared.tokens if self._index is None else self._tokens

    @property
    def folder(self) -> Path | None:
        """The folder of the finished model; None without `out`."""
        return None if self.request.out is None else Path(self.request.out) / "model"

    def __iter__(self) -> Iterator[TrainStep]:
        """Train: yield a TrainStep after every update, with a validation some ten times.

        Raises:
            MinilmError: where a loss or a gradient is not finite, or the disk refuses.
            LostWorkerError: where another process of the training is gone; what was made is saved first.
        """
        self.begin()
        prepared, self._stopping = self.prepared, False
        # One of several workers may be lost at any time, so their first step is saved at once.
        saved = monotonic() if this_worker().size == 1 else -inf
        steps = fit(
            prepared.model,
            prepared.batches,
            prepared.schedule,
            clip=prepared.clip,
            validation=prepared.held_out,
            every=max(prepared.settings.steps // 10, 1),
            start=self.index,
            tokens=self.tokens,
            stopping=self._gives_up,
            clock=self._clock,
        )
        if self._clock is not None:
            self._clock.start()
        try:
            for step in steps:
                self._index, self._tokens = step.index, step.tokens
                last = step.index == prepared.settings.steps if self._clock is None else self._clock.over
                if last or monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    self.save()
                    saved = monotonic()
                if last:
                    self._write_model()
                yield step
        except LostWorkerError:
            made = updates_made(self.model)
            lost = range(self.index, made)
            self._tokens = self.tokens + sum(prepared.batches.batch(step).tokens for step in lost)
            self._index = made
            if made > prepared.start:
                self.save()
            raise
        finally:
            if self._clock is not None:
                self._clock.stop()
            self._release()

    def save(self) -> None:
        """Write a checkpoint of this place below `out`; of several workers the first alone writes."""
        if self.request.out is not None and this_worker().leads:
            place = Path(self.request.out) / "checkpoints"
            settings, tokenizer_bytes = self.settings.to_json(), self.codec.model_bytes
            save_checkpoint(place, self.model, self.index, self.tokens, settings, tokenizer_bytes)

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
        prepared = self.prepared
        settings = self.settings
        if self.index >= settings.steps:
            made = f"{self.request.out or 'The training'} has made all its {self.index} steps"
            raise MinilmError(f"{made}; give more with --steps")
        schedule = Schedule(settings.rate, settings.steps, parts=settings.parts)
        return Timeline(
            prepared.model,
            prepared.batches,
            schedule if self._clock is None else foresee(schedule, self.index),
            clip=prepared.clip,
            start=self.index,
            tokens=self.tokens,
            codec=prepared.codec,
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
        # The old model goes only when the new one is in its place.
        old = self.folder.with_name(".model-old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(old)
        try:
            fresh.rename(self.folder)
        except OSError as error:
            if old.exists():
                old.rename(self.folder)
            raise MinilmError(
                f"{self.folder} cannot be written: {error.strerror}; it was not changed"
            ) from None
        shutil.rmtree(old, ignore_errors=True)


# Rows of a batch: far more than any machine holds would only end in an error of the memory.
MOST_ROWS = 65_536
MOST_LAYERS = 3


def _check(request: TrainingRequest) -> None:
    if request.rate is not None and not 0 < request.rate < inf:
        raise MinilmError(f"--rate must be a number above 0, got {request.rate}")
    if request.clip is not None and not 0 <= request.clip < inf:
        raise MinilmError(f"--clip must be 0 (none) or a number above 0, got {request.clip}")
    if not 1 <= request.layers <= MOST_LAYERS:
        raise MinilmError(f"--layers goes from 1 to {MOST_LAYERS}, got {request.layers}")
    if request.batch is not None and not 1 <= request.batch <= MOST_ROWS:
        raise MinilmError(f"--batch goes from 1 to {MOST_ROWS} rows, got {request.batch}")
    if request.steps and request.minutes:
        raise MinilmError("Give --steps or --minutes, not both")
    if request.minutes is not None and not (isfinite(request.minutes) and request.minutes > 0):
        raise MinilmError(f"--minutes must be above 0, got {request.minutes}")
    if request.resume and request.out is None:
        raise MinilmError("resume goes on from the checkpoints of a folder; give it as out")
    if not request.resume and request.out is not None and _holds_something(Path(request.out)):
        raise MinilmError(
            f"{request.out} exists already; give a new --out, or go on with --resume (nothing was changed)"
        )


def _check_space(out: str | None, model: Trainable) -> None:
    """Raise MinilmError where the disk has no room for a model and three checkpoints, one half written."""
    if out is None or not this_worker().leads or not Path(out).is_dir():
        return
    needed = 4 * sum(array.nbytes for array in model.snapshot().values()) + 2**20
    free = shutil.disk_usage(out).free
    if free < needed:
        raise MinilmError(
            f"--out {out} has {free / 1e6:.1f} MB free and the training needs {needed / 1e6:.1f} MB; "
            "free the disk, or give another --out"
        )


def _holds_something(out: Path) -> bool:
    """Return whether a path exists and is more than a folder with the lock of a killed training."""
    return os.path.lexists(out) and not (out.is_dir() and [path.name for path in out.iterdir()] == [LOCK])
