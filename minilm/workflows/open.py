"""Open a model with its tokenizer: one call for every kind of source, one value that answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from minilm import backends, builtin
from minilm.conditions import Condition
from minilm.errors import MinilmError, require_packages
from minilm.generation.cursor import Cursor, start
from minilm.generation.score import TokenScore, score
from minilm.protocols import Inspectable, LanguageModel, TextCodec
from minilm.records import Array, Reading, Step
from minilm.sampling.stage import Stage
from minilm.storage.model_folder import read_model
from minilm.workflows.codec import load_codec

__all__ = ["Opened", "has_chat_template", "open_model", "open_saved_places", "wrap_net"]

_BUILTIN = {"stories": builtin.folder}


@dataclass(frozen=True, eq=False)
class Opened:
    """A model that is ready to read and write text.

    It answers `read` like its model, so it can be given wherever a LanguageModel is asked for.

    >>> lm = open_model()
    >>> lm.text("Once upon a time", "Greedy()", max_tokens=4)
    ', there was a'

    Attributes:
        model: answers with logits; also `lm.model.weights()` and all else that its backend offers.
        codec: turns text into ids and back.
        eos_ids: the ids that end a text.
        notices: lines that the user should see, for instance that the model has no cache.
    """

    model: LanguageModel
    codec: TextCodec
    eos_ids: tuple[int, ...]
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The model's name."""
        return self.model.name

    @property
    def vocab_size(self) -> int:
        """The number of tokens that the model knows, V."""
        return self.model.vocab_size

    @property
    def embedding_size(self) -> int:
        """The length of an embedding, E."""
        return self.model.embedding_size

    @property
    def context_size(self) -> int | None:
        """The number of tokens that the model can read; None where there is no limit."""
        return self.model.context_size

    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids (T,) after a state, as the model's own `read` does."""
        return self.model.read(ids, state, rows=rows, inner=inner)

    def start(
        self,
        prompt: str | Sequence[int] = builtin.PROMPT,
        stages: Sequence[Stage] | str = (),
        seed: int = 0,
        *,
        chat: bool = False,
        max_tokens: int | None = 100,
        stop: Sequence[str] = (),
        top: int = 10,
        watch: Sequence[int] = (),
        breakpoints: Sequence[Condition] = (),
        inner: Sequence[str] = (),
        branch: int = 0,
    ) -> Cursor:
        """Read a prompt and return the cursor behind it: look, step, force a token, branch.

        Args:
            prompt: a text, or ids (T,). An empty text becomes the token that begins a text, where there is
                one.
            stages: the sampling stages, as text ("Temperature(0.8) TopK(40)") or as values; none by default,
                so that the model's own distribution is drawn from.
            seed: of the dice.
            chat: True to put the prompt, a text, through the model's chat template.
            max_tokens: how many tokens to generate at most; None for no limit.
            stop: texts that end the generation.
            top: how many candidates a step records.
            watch: ids (W,) that every step records, candidates or not.
            breakpoints: conditions that `generation.breakpoints.run_until` will be given. With one or more,
                the tokens that end a text are watched too, so that a condition can use `p_eos`.
            inner: arrays inside the model to record, by name.
            branch: which dice of the seed to throw.

        Raises:
            MinilmError: for a chat without a template, a prompt without ids, an id outside the vocabulary,
                or settings that make no sense.
        """
        if chat:
            prompt = _chat_ids(self.codec, prompt)
        elif prompt == "":
            prompt = self.codec.encode("", special=True)
        ending = self.eos_ids if breakpoints else ()
        return start(
            self.model,
            self.codec,
            prompt,
            stages,
            seed,
            max_tokens=max_tokens,
            stop=stop,
            top=top,
            watch=list(dict.fromkeys((*watch, *ending))),
            eos_ids=self.eos_ids,
            inner=inner,
            branch=branch,
        )

    def stream(
        self,
        prompt: str | Sequence[int] = builtin.PROMPT,
        stages: Sequence[Stage] | str = (),
        seed: int = 0,
        **settings: Any,
    ) -> Iterator[Step]:
        """Generate: yield a Step for every token. Takes what `start` takes, and raises what it raises."""
        return self.start(prompt, stages, seed, **settings).steps()

    def text(
        self,
        prompt: str | Sequence[int] = builtin.PROMPT,
        stages: Sequence[Stage] | str = (),
        seed: int = 0,
        **settings: Any,
    ) -> str:
        """Generate and return the new text alone. Takes what `start` takes."""
        return "".join(step.new_text for step in self.stream(prompt, stages, seed, **settings))

    def score(self, text: str | Sequence[int], *, top: int = 5) -> Iterator[TokenScore]:
        """Yield, for every token of a given text or of ids (T,), how likely it was for the model.

        Args:
            text: the text, or its ids.
            top: how many candidates to show beside each token.
        """
        return score(self.model, self.codec, text, top=top)


def open_model(
    source: Any = None,
    codec: TextCodec | None = None,
    *,
    backend: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> Opened:
    """Open a model together with its tokenizer. This is `minilm.open`.

    Args:
        source: None for the built-in model; a model folder; the folder of a training (its model is opened);
            "hf:PATH_OR_ID" for a Hugging Face causal language model; "builtin:stories"; or a net of your
            own (torch module, Keras model, any LanguageModel), which needs `codec`.
        codec: the tokenizer of a net of your own; the others bring theirs.
        backend: "numpy", "torch" or "tensorflow" for a folder; NumPy by default.
        device: "cpu", "cuda", "mps" ...
        dtype: "float32" or "float64"; for Hugging Face also "bfloat16" or "float16".

    Raises:
        MinilmError: one line that says what is wrong with the source and what to do.
    """
    if not isinstance(source, str | Path | None):
        return wrap_net(source, codec)
    if codec is not None:
        raise MinilmError("A codec is given for a net of your own alone; folders and hf: models bring theirs")
    name = None if source is None else str(source)
    if name in ("", "hf:", "builtin:"):
        raise MinilmError(f"A model is a folder, hf:PATH_OR_ID or builtin:NAME, got {name!r}")
    if name is not None and name.startswith("hf:"):
        if backend not in (None, "torch"):
            raise MinilmError(f"Hugging Face models run in torch, got --backend {backend}; leave it out")
        return _open_hugging_face(name.removeprefix("hf:"), device, dtype)
    folder = _folder_of(name)
    model = backends.load(folder, backend, dtype=dtype, device=device)
    model.name = f"{folder.name}, an LSTM in {model.name}"
    own = load_codec(folder / "tokenizer.model")
    return Opened(model, own, (own.special_ids["eos"],))


def open_saved_places(
    folders: Sequence[str | Path],
    *,
    backend: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> tuple[TextCodec, list[tuple[int, Inspectable]]]:
    """Open saved models and checkpoints of one training, to compare them.

    Args:
        folders: The model folders, in the order of the training, at least one.
        backend: "numpy", "torch" or "tensorflow"; NumPy by default.
        device: "cpu", "cuda", "mps" ...
        dtype: "float32" or "float64".

    Returns:
        The tokenizer, and for each model how many updates had been made. A folder that does not say so counts
        by its place in `folders`, from 1.

    Raises:
        MinilmError: Where a folder has another tokenizer than the first one.
    """
    models: list[tuple[int, Inspectable]] = []
    found = [read_model(folder) for folder in folders]
    opened = [open_model(folder, backend=backend, device=device, dtype=dtype) for folder in folders]
    for place, (saved, one) in enumerate(zip(found, opened, strict=True), 1):
        if saved.tokenizer_bytes != found[0].tokenizer_bytes:
            raise MinilmError(f"{folders[place - 1]} has another tokenizer than {folders[0]}; leave it out")
        training = saved.extra.get("training")
        step = training.get("step") if isinstance(training, dict) else None
        models.append((step if isinstance(step, int) else place, cast(Inspectable, one.model)))
    return opened[0].codec, models


def wrap_net(net: Any, codec: TextCodec | None) -> Opened:
    """Open a net of the user's own with its codec. This is `minilm.wrap`.

    Args:
        net: a torch module or Keras model that gives logits (1, T, V) for ids (1, T), alone or with a state
            (see minilm.backends.wrap); or a LanguageModel, which is taken as it is.
        codec: its tokenizer, with as many ids as there are logits.

    Raises:
        MinilmError: where the codec is missing, or the net answers with something else.
    """
    if codec is None:
        raise MinilmError(
            f"A net of your own needs its tokenizer, got {type(net).__name__} alone; give codec="
        )
    model = net if isinstance(net, LanguageModel) else backends.wrap(net, codec)
    ends = (codec.special_ids["eos"],) if "eos" in codec.special_ids else ()
    return Opened(model, codec, ends)


def has_chat_template(codec: TextCodec) -> bool:
    """Return True for the tokenizer of an instruct model."""
    try:
        return codec.chat([{"role": "user", "content": "a"}]) is not None
    except ValueError:
        # There is a template; it only refuses so short a question.
        return True


def _chat_ids(codec: TextCodec, prompt: str | Sequence[int]) -> list[int]:
    if not isinstance(prompt, str):
        raise MinilmError("A chat takes the prompt as text, got ids; leave chat out")
    ids = codec.chat([{"role": "user", "content": prompt}])
    if ids is None:
        raise MinilmError("--chat needs a chat template, and this model's tokenizer has none; leave it out")
    return ids


def _folder_of(source: str | None) -> Path:
    """Return the model folder that a source names: the built-in one, itself, or the model of a training."""
    if source is None:
        return builtin.folder()
    if source.startswith("builtin:"):
        name = source.removeprefix("builtin:")
        if name not in _BUILTIN:
            raise MinilmError(f"There is no built-in model {name!r}; there is {', '.join(_BUILTIN)}")
        return _BUILTIN[name]()
    folder = Path(source)
    inside = folder / "model"
    if not (folder / "digests.json").exists() and (inside / "digests.json").exists():
        return inside
    return folder


def _open_hugging_face(source: str, device: str, dtype: str) -> Opened:
    require_packages("An hf: model", "torch", "transformers", extra="hf")
    from tokenizer.huggingface import from_transformers

    opening = import_module("minilm.backends.huggingface.open")
    model, raw = opening.open_hugging_face(source, device=device, dtype=dtype)
    codec = from_transformers(raw)
    return Opened(model, codec, _eos_ids(model, codec), (model.notice,) if model.notice else ())


def _eos_ids(model: Any, codec: TextCodec) -> tuple[int, ...]:
    """Return the ids that end a text: those of the model's generation settings, then the tokenizer's."""
    found: int | Sequence[int] | None = model.net.generation_config.eos_token_id
    listed = [] if found is None else [found] if isinstance(found, int) else list(found)
    if "eos" in codec.special_ids:
        listed.append(codec.special_ids["eos"])
    return tuple(dict.fromkeys(listed))
