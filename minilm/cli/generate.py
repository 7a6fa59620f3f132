"""minilm generate: stream text and see how every token was chosen."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from minilm.cli.opening import Opened, model_options, open_model
from minilm.cli.stages import pipeline, stage_options
from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.scores import score_table, score_total
from minilm.generation import Cursor, TraceWriter, start
from minilm.generation.logits_file import logits_path
from minilm.generation.score import score, total
from minilm.records import Step

__all__ = ["command"]

PROMPT = "Once upon a time"


@click.command(
    epilog="Example: minilm generate --prompt 'Once upon a time' --temperature 0.8 --top-k 40 --max-tokens 5"
)
@model_options
@click.option("--prompt", default=PROMPT, show_default=True, help="The text to go on from, read whole.")
@click.option("--chat", is_flag=True, help="Put the prompt through the model's chat template.")
@stage_options
@click.option("--seed", default=0, show_default=True, help="Seed of the dice.")
@click.option("--max-tokens", default=20, show_default=True, help="0 shows the next-token table alone.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End once the text holds this; may be repeated.")
@click.option("--watch", multiple=True, metavar="WORD", help="Follow a word's first piece; may be repeated.")
@click.option("--top", default=10, show_default=True, help="How many candidates to record.")
@click.option("--show", type=click.Choice(["text", "brief", "full"]), default="brief", show_default=True)
@click.option("--score-prompt", is_flag=True, help="First show what the model expected in the prompt.")
@click.option("--live", is_flag=True, help="A bar chart in place instead of lines.")
@click.option("--delay", default=0.0, metavar="SECONDS", help="Wait after every step.")
@click.option("--trace", metavar="FILE", help="Write the records to this file, one JSON line each.")
@click.option("--logits", is_flag=True, help="Keep all logits in FILE.logits.npy, for minilm trace replay.")
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of text.")
def command(
    source: str | None, backend: str | None, device: str, dtype: str, prompt: str, chat: bool, **options: Any
) -> None:
    """Stream text and see, for every token, how it was chosen."""
    if options["score_prompt"] and (options["as_lines"] or options["show"] == "text"):
        raise MinilmError("--score-prompt shows a table; for JSON lines use: minilm score TEXT --json")
    if options["delay"] < 0:
        raise MinilmError(f"--delay must be 0 or more seconds, got {options['delay']}")
    if options["logits"] and not options["trace"]:
        raise MinilmError("--logits keeps the logits beside a trace, got no --trace; name its file")
    opened = open_model(source, backend, device, dtype)
    cursor = start(
        opened.model,
        opened.codec,
        _chat_ids(opened, prompt) if chat else prompt,
        pipeline(options),
        options["seed"],
        max_tokens=options["max_tokens"],
        stop=options["stop"],
        top=options["top"],
        watch=_watch_ids(opened, options["watch"]),
        eos_ids=opened.eos_ids,
    )
    if options["score_prompt"]:
        _print_scores(opened, cursor)
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(w) for w in _writers(stack, cursor, options)]
        steps = _recorded(cursor, writers, options["delay"])
        if not options["as_lines"]:
            _show(cursor, steps, options)
        for _ in steps:
            pass


def _chat_ids(opened: Opened, prompt: str) -> list[int]:
    ids = opened.codec.chat([{"role": "user", "content": prompt}])
    if ids is None:
        raise MinilmError("--chat needs a chat template, and this model's tokenizer has none; leave it out")
    return ids


def _watch_ids(opened: Opened, words: Sequence[str]) -> list[int]:
    """The first piece of every word, with and without a leading space."""
    spellings = [spelling for word in words for spelling in (word, " " + word.lstrip(" "))]
    return list(dict.fromkeys(ids[0] for s in spellings if (ids := opened.codec.encode(s))))


def _writers(stack: contextlib.ExitStack, cursor: Cursor, options: dict[str, Any]) -> Iterator[TraceWriter]:
    if options["as_lines"]:
        yield TraceWriter(sys.stdout, cursor)
    if options["trace"]:
        path = Path(options["trace"])
        file = _new_file(stack, path, "x")
        logits = _new_file(stack, logits_path(path), "xb") if options["logits"] else None
        yield TraceWriter(file, cursor, logits)


def _new_file(stack: contextlib.ExitStack, path: Path, mode: str) -> Any:
    """A file that does not exist yet, open until the run ends."""
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        return stack.enter_context(path.open(mode, **text))
    except FileExistsError:
        raise MinilmError(f"--trace {path} exists already; name another file or remove it") from None
    except OSError as error:
        raise MinilmError(f"--trace {path} cannot be written: {error.strerror}") from error


def _recorded(cursor: Cursor, writers: Sequence[TraceWriter], delay: float) -> Iterator[Step]:
    """The steps of a run, each written to every trace before it is shown."""
    for place in cursor.cursors():
        step = place.peek()
        for writer in writers:
            writer.step(step, place.reading.logits[-1])
        yield step
        time.sleep(delay)


def _show(cursor: Cursor, steps: Iterator[Step], options: dict[str, Any]) -> None:
    if options["max_tokens"] == 0:
        _print_header(cursor)
        text.write(text.render(cursor.peek().decision, options["show"].replace("text", "brief")), sys.stdout)
        return
    if options["show"] == "text":
        for step in steps:
            text.write(text.render(step, "text"), sys.stdout, end="")
            sys.stdout.flush()
        text.write("", sys.stdout)
        return
    _print_header(cursor)
    shown = _play(steps) if options["live"] else _print_steps(steps, options["show"])
    last = shown[-1].finish if shown else None
    ids = [step.decision.chosen.id for step in shown]
    text.write(text.footer(last, ids, "".join(step.new_text for step in shown)), sys.stdout)


def _print_scores(opened: Opened, cursor: Cursor) -> None:
    tokens = list(score(opened.model, opened.codec, cursor.ids.tolist()))
    text.write(f"{score_table(tokens)}\n\n{score_total(total(tokens))}", sys.stdout, end="\n\n")


def _print_header(cursor: Cursor) -> None:
    ids = cursor.ids.tolist()
    texts, raws = zip(*(cursor.texts(i) for i in ids), strict=True)
    settings = cursor.settings
    text.write(
        text.header(ids, texts, settings.stages, settings.seed, raws=raws, model=cursor.model.name),
        sys.stdout,
        end="\n\n",
    )


def _play(steps: Iterator[Step]) -> list[Step]:
    from minilm.faces.live import play  # rich, which only --live needs

    return list(play(steps))


def _print_steps(steps: Iterator[Step], show: str) -> list[Step]:
    shown, so_far = [], ""
    for step in steps:
        so_far += step.new_text
        text.write(text.render(step, show, so_far=so_far), sys.stdout, end="\n\n")
        sys.stdout.flush()
        shown.append(step)
    return shown
