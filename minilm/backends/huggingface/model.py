"""Any causal language model of transformers, read in NumPy: logits, embeddings, a state that is a value.

open.py opens and creates models, and training.py trains them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from minilm.backends.checks import check_against, check_ids, check_rows
from minilm.backends.huggingface.cache import RereadState, State, create_empty_state, find_cache_argument
from minilm.backends.huggingface.inner import (
    array,
    collect_inner,
    copy_eager,
    count_layers,
    expand_names,
    list_inner_names,
)
from minilm.errors import MinilmError
from minilm.records import Array, Reading

__all__ = ["HuggingFaceReader"]


class HuggingFaceReader:
    """A transformers model behind the protocols LanguageModel, Inspectable and Attributable.

    Attributes:
        net: the transformers model, in eval mode.
        vocab_size: rows of the head.
        context_size: positions that the model's config allows; None where it says nothing of them.
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
        self._empty, self._cache_name = create_empty_state(net), find_cache_argument(net)
        self._keeps_rows = "logits_to_keep" in inspect.signature(net.forward).parameters

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}: {type(self.net).__name__}, V {self.vocab_size})"

    @property
    def notice(self) -> str | None:
        """A warning of one line where every step reads the whole text again; None for all other models."""
        if not isinstance(self._empty, RereadState):
            return None
        return (
            f"{self.name}: {type(self.net).__name__} has no cache that minilm can keep; every token reads the"
            " whole text again, so long texts are slow"
        )

    @property
    def inner_names(self) -> list[str]:
        """The names of the inner arrays of a reading."""
        return list_inner_names(self.net)

    @cached_property
    def _eager(self) -> Any:
        return copy_eager(self.net)

    @torch.inference_mode()
    def read(
        self, ids: Sequence[int] | Array, state: Any = None, *, rows: str = "last", inner: Sequence[str] = ()
    ) -> Reading:
        """Read ids; see LanguageModel for the arguments.

        The inner arrays are:

            hidden.L      (T, H)         L = 0 is the embedding; the last one comes after the final norm
            logit_lens.L  (T, V)         the head on hidden.L
            attention.L   (heads, T, S)  over the S positions read so far
            position      (T, E)         the position embeddings

        A name without ".L" stands for all layers. Lens and attention add "KIND.logit_difference" (), the
        largest difference between their logits and the model's own.
        """
        every = check_rows(rows)
        before = self._empty if state is None else state
        fresh = check_ids(ids, self.vocab_size).tolist()
        self._check_context(before.length + len(fresh))
        names = expand_names(self.net, inner) if inner else []
        cache, read, after = before.extend(fresh)
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
            seen = collect_inner(self.net, names, hidden, logits, slice(before.length, after.length))
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
        """Call the net once: read ids into a cache, for the logits of the last `kept` rows.

        `shown` names transformers' options for more outputs, such as "output_hidden_states".
        """
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
        """Return attention.L of a second, eager reading, and the largest difference of its logits (T, V)."""
        wanted = [name for name in names if name.startswith("attention.")]
        if not wanted:
            return {}
        cache, read = before.copy_cache(ids)
        out = self._forward(self._eager, read, cache, len(ids), "output_attentions")
        layers = getattr(out, "attentions", None) or ()
        if len(layers) < count_layers(self.net):
            raise MinilmError(f"{type(self.net).__name__} has no attention to show in every layer")
        seen = {name: array(layers[int(name.split(".")[1])][0, :, -len(ids) :]) for name in wanted}
        difference = (out.logits[0, -len(ids) :] - logits).abs().max()
        return seen | {"attention.logit_difference": array(difference)}

    def embedding_table(self) -> Array:
        """Return all token embeddings, (V, E)."""
        return array(self.net.get_input_embeddings().weight)

    def head(self) -> tuple[Array, Array | None]:
        """Return the output layer, kernel (H, V) and bias (V,) or None; tied weights are the embeddings."""
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
        """Return a value of the prediction and its gradient (T, E) at the embeddings; see Attributable."""
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
