"""Any causal language model of transformers, read in NumPy: logits, embeddings, a state that is a value.

Opening and making models is in huggingface.py, training in huggingface_training.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from minilm.backends.huggingface_cache import State, empty_state
from minilm.backends.huggingface_inner import array, available, eager_twin, expand, looks
from minilm.errors import MinilmError
from minilm.records import Array, Reading

__all__ = ["HuggingFaceReader"]


class HuggingFaceReader:
    """A transformers model under minilm's protocols LanguageModel, Inspectable and Attributable.

    vocab_size: rows of the head; context_size: positions of the config, None where it names none.
    """

    def __init__(self, net: Any, name: str) -> None:
        table, head = net.get_input_embeddings(), net.get_output_embeddings()
        if table is None or head is None:
            raise MinilmError(
                f"{type(net).__name__} has no embedding or no head; give a causal language model"
            )
        self.net, self.name = net.eval(), name
        config = net.config.get_text_config(decoder=True)
        self.vocab_size = int(head.weight.shape[0])
        self.embedding_size = int(table.weight.shape[1])
        self.context_size = getattr(config, "max_position_embeddings", None)
        self._empty = empty_state(net)
        takes = inspect.signature(net.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in takes else "past_key_values"
        self._keeps_rows = "logits_to_keep" in takes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}: {type(self.net).__name__}, V {self.vocab_size})"

    @property
    def inner_names(self) -> list[str]:
        """What `inner` of a reading can ask for."""
        return available(self.net)

    @cached_property
    def _eager(self) -> Any:
        return eager_twin(self.net)

    @torch.inference_mode()
    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids after `state`; rows "last" gives logits (1, V), "all" (T, V).

        inner: "hidden.L" (T, H), L = 0 the embeddings and the last after the final norm; "logit_lens.L"
        (T, V); "attention.L" (heads, T, S) over the S positions seen, which adds "attention.logit_difference";
        "position" (T, E); without ".L" all layers. MinilmError for ids out of range, none, or too many.
        """
        if rows not in ("last", "all"):
            raise MinilmError(f'rows must be "last" or "all", got {rows!r}')
        before = state or self._empty()
        fresh = self._checked(ids, before.length)
        cache, after = before.extended(fresh)
        names = expand(self.net, inner) if inner else []
        shown = ["output_hidden_states"] if any(n.startswith(("hidden", "logit_lens")) for n in names) else []
        out = self._forward(self.net, fresh, before, cache, rows == "all", *shown)
        logits = out.logits[0, -len(fresh) :] if rows == "all" else out.logits[0, -1:]
        seen: dict[str, Array] = {}
        if names:
            if shown and not out.hidden_states:
                raise MinilmError(
                    f"{type(self.net).__name__} shows no hidden states; ask for other inner arrays"
                )
            hidden = [layer[0, -len(fresh) :] for layer in out.hidden_states or ()]
            seen = looks(self.net, names, hidden, slice(before.length, after.length))
            seen |= self._attention(names, fresh, before, logits)
        table = self.net.get_input_embeddings().weight
        return Reading(array(logits), array(table[torch.tensor(fresh, device=table.device)]), after, seen)

    def _checked(self, ids: Sequence[int] | Array, length: int) -> list[int]:
        given = np.asarray(ids)
        if given.ndim != 1 or given.size == 0:
            raise MinilmError(f"A reading needs at least one id in a row, got shape {given.shape}")
        if given.dtype.kind not in "iu":
            raise MinilmError(f"Ids must be whole numbers, got {given.dtype}")
        rows = self.net.get_input_embeddings().weight.shape[0]
        if given.min() < 0 or given.max() >= rows:
            wrong = int(given[(given < 0) | (given >= rows)][0])
            raise MinilmError(f"Id {wrong} is outside the vocabulary of {self.name}: 0 to {rows - 1}")
        if self.context_size is not None and length + given.size > self.context_size:
            raise MinilmError(
                f"{self.name} reads at most {self.context_size} tokens (its context), got {length + given.size};"
                " give a shorter prompt or generate fewer tokens"
            )
        return given.tolist()

    def _forward(
        self, net: Any, ids: list[int], before: State, cache: Any, every_row: bool, *shown: str
    ) -> Any:
        """One call of the net, with the outputs to be shown; without a cache it reads from the start."""
        read = ids if cache is not None else [*getattr(before, "ids", ()), *ids]
        options: dict[str, Any] = {"output_hidden_states": False} | dict.fromkeys(shown, True)
        if self._keeps_rows:
            options["logits_to_keep"] = len(ids) if every_row else 1
        if cache is not None:
            options[self._cache_name] = cache
        ids_read = torch.tensor([read], device=net.device)
        return net(input_ids=ids_read, use_cache=cache is not None, return_dict=True, **options)

    def _attention(
        self, names: Sequence[str], ids: list[int], before: State, logits: torch.Tensor
    ) -> dict[str, Array]:
        """attention.L of a second, eager reading of the same ids, and the largest difference of its logits."""
        wanted = [name for name in names if name.startswith("attention.")]
        if not wanted:
            return {}
        out = self._forward(self._eager, ids, before, before.aside(), len(logits) > 1, "output_attentions")
        if not out.attentions:
            raise MinilmError(f"{type(self.net).__name__} has no attention to show")
        seen = {name: array(out.attentions[int(name.split(".")[1])][0, :, -len(ids) :]) for name in wanted}
        difference = (out.logits[0, -len(logits) :] - logits).abs().max()
        return seen | {"attention.logit_difference": array(difference)}

    def embedding_table(self) -> Array:
        """All token embeddings, (V, E)."""
        return array(self.net.get_input_embeddings().weight)

    def head(self) -> tuple[Array, Array | None]:
        """The output layer: (H, V), the transposed embeddings where they are tied, and its bias or None."""
        head = self.net.get_output_embeddings()
        bias = getattr(head, "bias", None)
        return array(head.weight.T), None if bias is None else array(bias)

    def embedding_gradient(
        self,
        ids: Sequence[int],
        target: int,
        against: int | None = None,
        scale: float = 1.0,
        of: str = "logp",
    ) -> tuple[float, Array]:
        """What the token embeddings, times `scale`, owe to the next token `target`: value and gradient (T, E).

        of: "logp" or "logit"; the value is that of target, less that of `against` where one is given.
        """
        if of not in ("logp", "logit"):
            raise MinilmError(f'of must be "logp" or "logit", got {of!r}')
        self._checked([target] if against is None else [target, against], 0)
        read = torch.tensor([self._checked(ids, 0)], device=self.net.device)
        with torch.enable_grad():
            embedded = (self.net.get_input_embeddings()(read) * scale).detach().requires_grad_()
            logits = self.net(inputs_embeds=embedded, use_cache=False).logits[0, -1].double()
            scores = logits.log_softmax(-1) if of == "logp" else logits
            value = scores[target] - (0 if against is None else scores[against])
            (gradient,) = torch.autograd.grad(value, embedded)
        return float(value.detach()), array(gradient[0])
