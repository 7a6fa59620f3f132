"""A text put in by hand: merged with what stands before it, as the tokenizer would have cut the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from minilm.errors import MinilmError
from minilm.generation.branch import Branch, Turn, begun

__all__ = ["Merged", "with_prompt", "with_text"]


@dataclass(frozen=True, slots=True)
class Merged:
    """What putting a text in did.

    removed: the earlier ids that the merge replaced, often none; of_prompt: how many of them stood in
    the prompt; added: the ids that stand there now.
    """

    text: str
    removed: tuple[int, ...]
    of_prompt: int
    added: tuple[int, ...]


def with_text(branch: Branch, text: str) -> tuple[Branch, Merged]:
    """The branch with this text forced, token by token, and what that did to its ids.

    Where the tokenizer would have cut the text before it otherwise, the branch goes back to the last id
    that stays; where that lies in the prompt, the prompt ends there. Raises MinilmError for a text without
    tokens, after the end, and where the end comes before the whole text is in.
    """
    if branch.finish:
        raise MinilmError(f"The text has ended ({branch.finish}); go back a step to put in another one")
    ids = branch.cursor.ids.tolist()
    new, kept = branch.cursor.codec.merge(ids, text)
    prompt = branch.cursor.prompt_length
    merged = Merged(text, tuple(ids[kept:]), max(0, prompt - kept), tuple(new[kept:]))
    if not text or not merged.added:
        raise MinilmError(f"The text {text!r} adds no token; give one that does")
    if kept < prompt:
        head = max(kept, 1)
        branch, added = with_prompt(branch, new[:head]), new[head:]
    else:
        branch, added = branch.back(len(ids) - kept) if merged.removed else branch, new[kept:]
    for token_id in added:
        if branch.finish:
            raise MinilmError(f"The text would end ({branch.finish}) before {text!r} is in; put in less")
        branch = branch.taken(token_id)
    return branch, merged


def with_prompt(branch: Branch, prompt: str | Sequence[int]) -> Branch:
    """The branch begun anew after another prompt; what it had generated is gone."""
    now = branch.cursor
    cursor = begun(now, prompt, now.settings).branched(now.branch)
    turns = (Turn(0, now.settings, now.branch),)
    return replace(branch, cursor=cursor, left=(), forced=(), turns=turns)
