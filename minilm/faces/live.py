"""Show each step as a bar chart that stays in its place while the text grows (rich).

The chart has logits, and probabilities before and after the stages. Words beside the bars say what a colour
says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from minilm.faces.console import to_console
from minilm.faces.layout import WIDTH, align, clip, wrap_line
from minilm.faces.numerals import fixed, probability
from minilm.faces.text.brief import brief_candidates, candidate_note, read_line, summary
from minilm.faces.visible import piece, visible
from minilm.records import Candidate, Decision, Step

__all__ = ["chart", "live", "play"]

_BAR = 16  # cells of a whole bar
_LINES = 6  # the last lines of the text so far


def chart(step: Step, so_far: str = "", most: int = 10, encoding: str = "utf-8") -> Group:
    """Return a step as something that rich can print: first line, bars, facts, and the text so far.

    Args:
        step: the step.
        so_far: the text before this step.
        most: how many candidates to show; the chosen and the watched ones are always among them.
        encoding: what the console can show; other signs are replaced by plain ones.
    """
    decision = step.decision
    reason = " " + visible(decision.reason, keep="")
    bars, styles = _bars(decision, brief_candidates(decision, most), encoding)
    lines = [read_line(step), *bars, summary(decision), *wrap_line(reason, WIDTH, " "), ""]
    styles = ["bold", *styles, "dim", *[""] * (len(lines) - len(styles) - 2)]
    shown = [
        Text(to_console(clip(line, WIDTH), encoding), style=style, no_wrap=True, overflow="crop")
        for line, style in zip(lines, styles, strict=True)
    ]
    before = "\n".join(visible(so_far, keep="\n").split("\n")[-_LINES:])
    text = Text(to_console(before, encoding))
    return Group(*shown, text.append(to_console(visible(step.new_text), encoding), style="bold reverse"))


def _bars(decision: Decision, candidates: list[Candidate], encoding: str) -> tuple[list[str], list[str]]:
    rows, notes, styles = [["rank", "token", "logit", "before", "", "after", ""]], [""], ["dim"]
    for c in candidates:
        before = [f"{probability(c.p_model):<5}", _bar(c.p_model, _BAR // 2)]
        after = [f"{probability(c.p_final):<5}", _bar(c.p_final, _BAR)]
        token = clip(to_console(piece(c.text, c.bytes), encoding), 18)
        rows.append([str(c.rank), token, fixed(c.logit), *before, *after])
        notes.append(candidate_note(c, decision))
        styles.append("bold cyan" if c.id == decision.chosen.id else "dim" if c.removed_by else "")
    lines = [f" {row}  {note}".rstrip() for row, note in zip(align(rows, "rlrllll"), notes, strict=True)]
    return lines, styles


def _bar(p: float, width: int) -> str:
    full, rest = divmod(round(p * width * 8), 8)
    bar = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return f"{bar:<{width}}│"


@contextmanager
def live(console: Console | None = None) -> Iterator[Live]:
    """Give a place on the screen that is drawn again only by `update(..., refresh=True)`."""
    console = console or Console()
    with Live(console=console, auto_refresh=False, transient=False) as place:
        yield place
    if not console.is_terminal:
        # On a terminal rich itself ends the last drawing with a new line.
        console.line()


def play(steps: Iterable[Step], console: Console | None = None, most: int = 10) -> Iterator[Step]:
    """Show every step as it comes, always in the same place, and yield it."""
    console = console or Console()
    so_far = ""
    with live(console) as place:
        for step in steps:
            place.update(chart(step, so_far, most, console.encoding), refresh=True)
            so_far += step.new_text
            yield step
