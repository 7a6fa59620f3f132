"""Prepare a training: text, tokenizer, batches and model of a new one, or of one that goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm import backends, builtin
from minilm.errors import MinilmError
from minilm.protocols import Trainable
from minilm.records import ModelConfig, OptimizerConfig
from minilm.shadows import check_tokenizer
from minilm.training.batches import Batch, Batches, encode_documents, in_order
from minilm.training.checkpoint import Checkpoint, newest
from minilm.training.clock import Clock
from minilm.training.corpus import STANDARD_INPUT, Corpus, find_texts, from_files, from_storyland
from minilm.training.fit import Schedule, planned_steps
from minilm.training.storyland.entropy import Floor, floor
from minilm.training.storyland.stories import storyland
from minilm.workflows.codec import load_codec, tokenizer_errors
from minilm.workflows.workers import agree, model_of_worker, share_number

if TYPE_CHECKING:
    from tokenizer import Tokenizer

__all__ = ["Prepared", "TrainingRequest", "TrainingSettings", "prepare"]

# What a training on files uses where nothing is asked for; the stories have a recipe of their own.
FILES = builtin.Recipe(2000, 64, 128, dropout=0.3, batch=8, length=64, rate=5e-3, beta2=0.999, steps=4000)

CLIP = 1.0

# Tokens of a validation row: longer than a training row, so that fewer tokens have no past.
HELD_OUT_LENGTH = 1024

# Rows of a validation batch. Large models get fewer, so that a batch takes less than a second or so: a signal
# that stops the training waits for the end of the batch.
HELD_OUT_ROWS = 8
UNITS_AT_ALL_ROWS = 256


@dataclass(frozen=True)
class TrainingRequest:
    """What is asked of a training; None means: the usual value for files, or for the stories.

    Attributes:
        text: files of UTF-8 text, folders, patterns, or "-" for standard input; none for the stories.
        out: folder for checkpoints and the finished model; None writes nothing.
        resume: go on from the newest checkpoint in `out`, with its settings. Steps, minutes, rate, clip,
            backend and device may differ from it, and the text may have moved; other changes are refused.
        backend: "numpy", "torch" or "tensorflow"; torch where it is installed, else NumPy.
        steps: updates to make: 4,000 for files, 1,200 for stories.
        minutes: instead of steps: train until this time has passed; of a resumed training, this time more.
        tokenizer: a .model file; by default one is trained on the text.
        vocab_size: of the tokenizer that is trained: 2,000 for files, 800 for stories.
        embedding: numbers of an embedding, E: 64 for files, 48 for stories.
        hidden: units of an LSTM layer, H: 128.
        layers: LSTM layers.
        dropout: share of the units that is left out after every layer: 0.3 for files, 0 for stories.
        batch: rows of a batch, B: 8.
        length: tokens of a row, T: 64 for files, a whole story for stories.
        rate: the highest learning rate of Adam: 0.005 for files, 0.02 for stories.
        clip: bound of the global gradient norm: 1; 0 for none.
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
    clip: float | None = None
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class TrainingSettings:
    """The settings that a checkpoint carries, so that a training goes on without being told them again.

    Attributes:
        text: the files, as full paths; empty for the stories.
        digest: of the text, so that a training never goes on with another one.
        seconds: the time of the whole training; 0 where its number of steps is given.
        spent: what of this time has gone.
        parts: the first step of each hundredth of the time that has begun, from which the rates follow.
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
    seconds: float = 0.0
    spent: float = 0.0
    parts: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON."""
        return asdict(self) | {"text": list(self.text), "parts": list(self.parts)}

    @classmethod
    def from_json(cls, values: Any, source: object) -> TrainingSettings:
        """Read what `to_json` gave. Raises MinilmError, naming `source`, where a setting is missing."""
        if missing := [f.name for f in fields(cls) if f.name not in values and f.default is MISSING]:
            raise MinilmError(f"{source} does not say the {missing[0]} of its training; start a new run")
        kept: dict[str, Any] = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        kept |= {name: tuple(kept[name]) for name in ("text", "parts") if name in kept}
        return cls(**kept)


@dataclass(frozen=True, eq=False)
class Prepared:
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
    settings: TrainingSettings
    floor: Floor | None
    start: int = 0
    tokens: int = 0
    notices: tuple[str, ...] = ()

    @property
    def schedule(self) -> Schedule:
        """The learning rate of every step."""
        return Schedule(self.settings.rate, self.settings.steps, parts=self.settings.parts)

    def clock(self) -> Clock | None:
        """Return a new clock of a training that ends at a time; None for one of some steps."""
        settings = self.settings
        if not settings.seconds:
            return None
        return Clock(self.schedule, settings.seconds, settings.spent, share_number(self.model))

    @property
    def clip(self) -> float | None:
        """The bound of the global gradient norm; None for none."""
        return self.settings.clip or None


def prepare(request: TrainingRequest) -> Prepared:
    """Prepare a new training, or one that goes on from the newest checkpoint of its folder.

    Raises:
        MinilmError: for a text or tokenizer that cannot be read, sizes that make no sense, or a checkpoint
            whose text has changed.
    """
    return _agreed(_resume(request) if request.resume else _begin(request))


def _begin(request: TrainingRequest) -> Prepared:
    """Prepare a new training."""
    request = replace(request, text=tuple(find_texts(request.text)))
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
    return prepared if request.minutes is None else _by_the_clock(prepared, request.minutes)


def _by_the_clock(prepared: Prepared, minutes: float) -> Prepared:
    """Let a training end after some minutes from now; the number of its steps is an estimate then."""
    steps = prepared.start + planned_steps(prepared.model, prepared.batches, minutes)
    seconds = prepared.settings.spent + 60 * minutes
    notice = f"the training ends after {minutes:g} minutes, with about {steps} steps"
    settings = replace(prepared.settings, steps=steps, seconds=seconds)
    return replace(prepared, settings=settings, notices=(*prepared.notices, notice))


def _resume(request: TrainingRequest) -> Prepared:
    """Prepare to go on from a folder's newest checkpoint.

    Raises:
        MinilmError: where the text is no longer the one that the training began with.
    """
    checkpoints = Path(request.out or "") / "checkpoints"
    saved = newest(checkpoints)
    settings = TrainingSettings.from_json(saved.run, checkpoints)
    _refuse_other(request, settings, saved)
    text = _full_paths(find_texts(request.text)) or settings.text
    settings = replace(settings, text=text, backend=request.backend or settings.backend)
    settings = _with_other_course(settings, request)
    corpus = _corpus_of(request, settings)
    if _digest(corpus) != settings.digest:
        raise MinilmError(f"The text of {request.out} has changed since the run began; start a new run")
    if saved.tokenizer_bytes is None:
        raise MinilmError(f"{checkpoints} holds no tokenizer; start a new run")
    check_tokenizer()
    import tokenizer

    with tokenizer_errors():
        codec = tokenizer.Tokenizer(saved.tokenizer_bytes)
    prepared = _prepare(corpus, codec, saved.config, settings, request.device)
    prepared.model.restore(saved.arrays)
    notices = (*saved.skipped, *prepared.notices)
    prepared = replace(prepared, start=saved.step, tokens=saved.tokens, notices=notices)
    return prepared if request.minutes is None else _by_the_clock(prepared, request.minutes)


# A resumed training cannot change these: its weights or the order of its batches follow from them.
FIXED = (
    "vocab_size",
    "embedding",
    "hidden",
    "layers",
    "dropout",
    "batch",
    "length",
    "seed",
    "dtype",
    "tokenizer",
)


def _refuse_other(request: TrainingRequest, settings: TrainingSettings, saved: Checkpoint) -> None:
    """Raise MinilmError, by the name of the option, for what a resumed training cannot change."""
    kept = {**asdict(settings), "layers": saved.config.layers, "tokenizer": "the tokenizer of its checkpoint"}
    usual = TrainingRequest()
    for name in FIXED:
        asked = getattr(request, name)
        if asked not in (getattr(usual, name), kept[name]):
            raise MinilmError(
                f"--{name.replace('_', '-')} cannot change in a resumed training: it has {kept[name]}, got "
                f"{asked}; leave it out, or start a new run in another --out"
            )


def _with_other_course(settings: TrainingSettings, request: TrainingRequest) -> TrainingSettings:
    """Return the settings of a resumed training with the rate, clip and steps that are asked for."""
    settings = replace(
        settings,
        rate=settings.rate if request.rate is None else request.rate,
        clip=settings.clip if request.clip is None else request.clip,
    )
    if request.steps is None:
        return settings
    # A training that ended at a time may go on by steps, and then the rate follows the steps.
    return replace(settings, steps=request.steps, seconds=0.0, parts=())


def _corpus_of(request: TrainingRequest, settings: TrainingSettings) -> Corpus:
    """Read the text of a resumed training, which may have moved."""
    if not settings.text:
        return from_storyland(seed=settings.seed)
    if STANDARD_INPUT in settings.text and not request.text:
        raise MinilmError(f"The text of {request.out} came from standard input; give it again, with --text -")
    try:
        return from_files(settings.text)
    except MinilmError as error:
        if request.text:
            raise
        raise MinilmError(f"{error}; where it has moved, say so with --text") from None


def _settings(request: TrainingRequest, corpus: Corpus) -> TrainingSettings:
    """Return the settings of a new training: what is asked for, else what is usual for such a text."""
    usual = asdict(builtin.RECIPE if corpus.whole else FILES)
    asked = {name: value for name, value in asdict(request).items() if value is not None}
    return TrainingSettings(
        **{name: asked.get(name, value) for name, value in usual.items()},
        backend=request.backend or ("torch" if "torch" in backends.available() else "numpy"),
        clip=CLIP if request.clip is None else request.clip,
        seed=request.seed,
        dtype=request.dtype,
        text=_full_paths(request.text),
        digest=_digest(corpus),
    )


def _prepare(
    corpus: Corpus, codec: Tokenizer, config: ModelConfig, settings: TrainingSettings, device: str
) -> Prepared:
    """Encode the text and make the model."""
    documents = encode_documents(codec, corpus.train)
    length, longest = settings.length, max(len(document) for document in documents) - 1
    notices = codec.notices
    if length > longest and not corpus.whole:
        notices = (*notices, f"the text has {longest + 1} tokens; rows are {longest} long, not {length}")
    held = encode_documents(codec, corpus.held_out)
    rows = max(
        1, min(HELD_OUT_ROWS, HELD_OUT_ROWS * UNITS_AT_ALL_ROWS // (config.hidden_size * config.layers))
    )
    held_out = tuple(in_order(held, rows, max(HELD_OUT_LENGTH, length)))
    targets = sum(batch.tokens for batch in held_out)
    return Prepared(
        model_of_worker(settings.backend, config, settings.dtype, device),
        codec,
        Batches(documents, settings.batch, length, settings.seed),
        held_out,
        sum(map(len, corpus.held_out)) / targets,
        settings,
        floor(storyland(), codec) if corpus.whole else None,
        notices=notices,
    )


def _agreed(prepared: Prepared) -> Prepared:
    """Return the training with as many steps as the first worker plans, once all workers have the same."""
    own = ("text", "steps", "seconds", "spent")
    facts = (
        {name: value for name, value in prepared.settings.to_json().items() if name not in own},
        prepared.settings.seconds > 0,
        prepared.start,
        prepared.tokens,
        asdict(prepared.model.config),
    )
    steps = agree(prepared.model, prepared.codec.model_bytes, prepared.settings.steps, facts)
    return replace(prepared, settings=replace(prepared.settings, steps=steps))


def _codec(corpus: Corpus, path: str | None, vocab_size: int) -> Tokenizer:
    if path is not None:
        return load_codec(path)
    check_tokenizer()
    import tokenizer

    return tokenizer.train(lines=corpus.train[:4000], vocab_size=vocab_size)


def _full_paths(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path if path == STANDARD_INPUT else str(Path(path).resolve()) for path in paths)


def _digest(corpus: Corpus) -> str:
    """Return a digest of all documents, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for text in corpus.train + corpus.held_out:
        digest.update(f"{len(text)}\n{text}".encode())
    return digest.hexdigest()
