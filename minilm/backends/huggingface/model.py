"""Any causal language model of transformers, read in NumPy: logits, embeddings, a state that is a value.

Opening and making models is in huggingface.py, training in huggingface_training.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from minilm.backends.checks import check_against, check_ids, check_rows
from minilm.backends.huggingface.cache import RereadState, State, cache_argument, empty_state
from minilm.backends.huggingface.inner import (
    array,
    available,
    eager_twin,
    expand,
    layer_count,
    looks,
)
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
        self._empty, self._cache_name = empty_state(net), cache_argument(net)
        self._keeps_rows = "logits_to_keep" in inspect.signature(net.forward).parameters

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}: {type(self.net).__name__}, V {self.vocab_size})"

    @property
    def notice(self) -> str | None:
        """One line where the model is opened with a loss: it has no cache that can be kept as a value."""
        if not isinstance(self._empty, RereadState):
            return None
        return (
            f"{self.name}: {type(self.net).__name__} has no cache that minilm can keep; every token reads the"
            " whole text again, so long texts are slow"
        )

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
        (T, V); "attention.L" (heads, T, S) over the S positions seen; "position" (T, E). Without ".L" all
        layers. Lens and attention add "KIND.logit_difference" (), how far their logits lie from the
        model's. MinilmError for ids out of range, none, or more than the context.
        """
        every = check_rows(rows)
        before = self._empty if state is None else state
        fresh = check_ids(ids, self.vocab_size).tolist()
        self._check_context(before.length + len(fresh))
        names = expand(self.net, inner) if inner else []
        cache, read, after = before.extended(fresh)
        shown = ["output_hidden_states"] if any(n.startswith(("hidden", "logit_lens")) for n in names) else []
        kept = len(fresh) if every or names else 1
        out = self._forward(self.net, read, cache, kept, *shown)
        logits = out.logits[0, -kept:]
        seen: dict[str, Array] = {}
        if names:
            if shown and not out.hidden_states:
                raise MinilmError(
                    f"{type(self.net).__name__} shows no hidden states; ask for other inner arrays"
                )
            hidden = [layer[0, -len(fresh) :] for layer in out.hidden_states or ()]
            seen = looks(self.net, names, hidden, logits, slice(before.length, after.length))
            seen |= self._attention(names, fresh, before, logits)
        logits = logits if every else logits[-1:]
        table = self.net.get_input_embeddings().weight
        return Reading(array(logits), array(table[torch.tensor(fresh, device=table.device)]), after, seen)

    def _check_context(self, length: int) -> None:
        if self.context_size is not None and length > self.context_size:
            raise MinilmError(
                f"{self.name} reads at most {self.context_size} tokens (its context), got {length};"
                " give a shorter text or generate fewer tokens"
            )

    def _forward(self, net: Any, ids: list[int], cache: Any, kept: int, *shown: str) -> Any:
        """One call of the net: ids into a cache, logits of the last `kept` rows, the outputs to be shown."""
        options: dict[str, Any] = {"output_hidden_states": False} | dict.fromkeys(shown, True)
        if self._keeps_rows:
            options["logits_to_keep"] = kept
        if cache is not None:
            options[self._cache_name or ""] = cache
        read = torch.tensor([ids], device=net.device)
        return net(input_ids=read, use_cache=cache is not None, return_dict=True, **options)

    def _attention(
        self, names: Sequence[str], ids: list[int], before: State, logits: torch.Tensor
    ) -> dict[str, Array]:
        """attention.L of a second, eager reading of the ids, and how far its logits (T, V) lie off."""
        wanted = [name for name in names if name.startswith("attention.")]
        if not wanted:
            return {}
        cache, read = before.aside(ids)
        out = self._forward(self._eager, read, cache, len(ids), "output_attentions")
        layers = getattr(out, "attentions", None) or ()
        if len(layers) < layer_count(self.net):
            raise MinilmError(f"{type(self.net).__name__} has no attention to show in every layer")
        seen = {name: array(layers[int(name.split(".")[1])][0, :, -len(ids) :]) for name in wanted}
        difference = (out.logits[0, -len(ids) :] - logits).abs().max()
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
        """What the token embeddings, times `scale`, owe to the next token: value and gradient (T, E).

        of: "logp" or "logit"; the value is that of target, less that of `against` where one is given.
        """
        check_against(target, against, of, self.vocab_size)
        read = torch.tensor([check_ids(ids, self.vocab_size).tolist()], device=self.net.device)
        self._check_context(read.shape[1])
        with torch.enable_grad():
            embedded = (self.net.get_input_embeddings()(read) * scale).detach().requires_grad_()
            logits = self.net(inputs_embeds=embedded, use_cache=False).logits[0, -1].double()
            scores = logits.log_softmax(-1) if of == "logp" else logits
            value = scores[target] - (0 if against is None else scores[against])
            (gradient,) = torch.autograd.grad(value, embedded)
        return float(value.detach()), array(gradient[0])
