"""minilm trace replay, sweep: same dice, other knobs, from the stored logits and without the model."""

from __future__ import annotations

import sys
from dataclasses import fields

import click
import numpy as np

from minilm.errors import MinilmError
from minilm.faces import text
from minilm.faces.trace import replay_line, sweep_table
from minilm.sampling.parsing import STAGES
from minilm.trace.json import as_json, dumps
from minilm.trace.replay import Recording, open_recording
from minilm.trace.sweep import draw_map, sweep

__all__ = ["replay", "sweep_command"]

MOST_VALUES = 1000


@click.command(epilog="Example: minilm trace replay run.jsonl --stages 'Temperature(0.5) TopP(0.9)'")
@click.argument("file", metavar="FILE")
@click.option("--stages", metavar="TEXT", help="Other stages; the recorded ones unless given.")
@click.option("--all", "go_on", is_flag=True, help="Go on along the recorded text after it would part.")
@click.option("--json", "as_lines", is_flag=True, help="Print the decisions as JSON lines.")
def replay(file: str, stages: str | None, go_on: bool, as_lines: bool) -> None:
    """Decide FILE again with other stages and the same dice.

    Without the model, from the stored logits, up to the first step at which the text would part. FILE must
    have been recorded with minilm generate --trace FILE --logits.
    """
    parted = 0
    for replayed in open_recording(file).replay(stages):
        parted += replayed.parts
        if as_lines:
            said = {"step": replayed.step.index, "parts": replayed.parts, "decision": replayed.decision}
            text.write(dumps({"replayed": as_json(said)}), sys.stdout)
        else:
            text.write(replay_line(replayed), sys.stdout)
        if replayed.parts and not go_on:
            return
    if not as_lines:
        same = "the text stays the same" if not parted else f"{parted} steps take another token"
        text.write(same, sys.stdout)


@click.command("sweep", epilog="Example: minilm trace sweep run.jsonl --over Temperature --from 0.1 --to 2")
@click.argument("file", metavar="FILE")
@click.option("--over", default="Temperature", show_default=True, help="A stage with a number, such as TopP.")
@click.option("--from", "low", type=float, help="The first value: 0.1, or 1 of whole numbers.")
@click.option(
    "--to", "high", type=float, help="The last value: 2 of a Temperature, 1 of shares, 40 of counts."
)
@click.option("--values", "count", default=11, show_default=True, help="How many values.")
@click.option("--plot", "picture", metavar="PICTURE", help="Draw one step into this .png or .svg file.")
@click.option("--step", default=1, show_default=True, help="The step to draw, from 1.")
@click.option("--json", "as_lines", is_flag=True, help="Print the rows as JSON lines.")
def sweep_command(
    file: str,
    over: str,
    low: float | None,
    high: float | None,
    count: int,
    picture: str | None,
    step: int,
    as_lines: bool,
) -> None:
    """Turn one knob over FILE with the same dice.

    A table of what each value would have taken, and with --plot a map of draw by value.
    """
    whole = over in STAGES and bool(numbers := fields(STAGES[over])) and numbers[0].type == "int"
    low = (1.0 if whole else 0.1) if low is None else low
    high = (40.0 if whole else 2.0 if over == "Temperature" else 1.0) if high is None else high
    if not 1 <= count <= MOST_VALUES or not -np.inf < low <= high < np.inf:
        raise MinilmError(
            f"A sweep goes from a number up to another in 1 to {MOST_VALUES} values, got {low} to {high} in "
            f"{count}"
        )
    recording = open_recording(file)
    rows = list(sweep(recording, over, _values(low, high, count, whole)))
    if as_lines:
        for row in rows:
            text.write(dumps({"sweep": as_json(row)}), sys.stdout)
    else:
        text.write(sweep_table(over, rows), sys.stdout)
    if picture is not None:
        _draw(recording, step, over, _values(low, high, max(count, 120), whole), picture)


def _values(low: float, high: float, count: int, whole: bool) -> list[float]:
    """The values of a sweep from low to high, each once; of whole numbers the nearest ones."""
    values = np.linspace(low, high, count)
    return np.unique(np.round(values) if whole else values).tolist()


def _draw(recording: Recording, step: int, over: str, values: list[float], path: str) -> None:
    from minilm.faces import plots  # matplotlib takes a while to import

    drawn = plots.draw_map(draw_map(recording, step - 1, over, values), recording.texts)
    click.echo(f"wrote {plots.save(drawn, path)}", err=True)
