"""minilm trace replay and minilm trace sweep: other stages, the same dice, and no model."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import click

from minilm.cli.options.picture import PictureFile
from minilm.cli.options.request import takes
from minilm.faces import text
from minilm.faces.trace import replay_line, sweep_table
from minilm.trace.json import as_json, dumps
from minilm.trace.replay import Recording, open_recording
from minilm.trace.sweep import draw_map, sweep, sweep_values

__all__ = ["ReplayRequest", "SweepRequest", "replay", "sweep_command"]

# A picture with fewer columns shows steps where the curve is smooth.
_PICTURE_COLUMNS = 120


@dataclass(frozen=True, kw_only=True)
class ReplayRequest:
    """The options of `minilm trace replay`.

    Attributes:
        file: The trace.
        stages: Other stages as text; None for the recorded ones.
        go_on: Go on along the recorded text after the first step that takes another token.
        as_lines: Print the decisions as JSON lines.
    """

    file: str
    stages: str | None
    go_on: bool
    as_lines: bool


@click.command(
    epilog="Example: minilm trace replay run.jsonl --stages 'Temperature(0.5) TopP(0.9)'\n\n\b\n"
    "In Python: from minilm.trace.replay import open_recording; "
    "open_recording('run.jsonl').replay('Temperature(0.5) TopP(0.9)')"
)
@click.argument("file", metavar="FILE")
@click.option("--stages", metavar="TEXT", help="Other stages; the recorded ones by default.")
@click.option("--all", "go_on", is_flag=True, help="Do not stop at the first step that takes another token.")
@click.option("--json", "as_lines", is_flag=True, help="Print the decisions as JSON lines.")
@takes(ReplayRequest)
def replay(request: ReplayRequest) -> None:
    """Decide FILE again with other stages and the same dice.

    No model is needed: the logits come from the file beside FILE, which minilm generate --trace FILE --logits
    records. The replay stops at the first step that takes another token, because the text would be different
    from there on.
    """
    different = 0
    for replayed in open_recording(request.file).replay(request.stages):
        different += replayed.parts
        if request.as_lines:
            line = {"step": replayed.step.index, "parts": replayed.parts, "decision": replayed.decision}
            text.write(dumps({"replayed": as_json(line)}), sys.stdout)
        else:
            text.write(replay_line(replayed), sys.stdout)
        if replayed.parts and not request.go_on:
            return
    if not request.as_lines:
        same = "the text stays the same" if not different else f"{different} steps take another token"
        text.write(same, sys.stdout)


@dataclass(frozen=True, kw_only=True)
class SweepRequest:
    """The options of `minilm trace sweep`.

    Attributes:
        file: The trace.
        over: The stage whose first number varies.
        low: The first value; None for a usual one.
        high: The last value; None for a usual one.
        count: How many values.
        picture: A .png or .svg file for a map of one step, or None.
        step: The step to draw, from 1.
        as_lines: Print the rows as JSON lines.
    """

    file: str
    over: str
    low: float | None
    high: float | None
    count: int
    picture: str | None
    step: int
    as_lines: bool

    def values(self, count: int) -> list[float]:
        """Return so many values of the number that varies."""
        return sweep_values(self.over, self.low, self.high, count)


@click.command(
    "sweep",
    epilog="Example: minilm trace sweep run.jsonl --over Temperature --from 0.1 --to 2\n\n\b\n"
    "In Python: from minilm.trace.replay import open_recording; from minilm.trace.sweep import sweep; "
    "sweep(open_recording('run.jsonl'), 'Temperature', [0.1, 1, 2])",
)
@click.argument("file", metavar="FILE")
@click.option("--over", default="Temperature", show_default=True, help="A stage with a number, such as TopP.")
@click.option("--from", "low", type=float, help="The first value: 0.1, or 1 for whole numbers.")
@click.option(
    "--to", "high", type=float, help="The last value: 2 for a Temperature, 1 for shares, 40 for counts."
)
@click.option("--values", "count", default=11, show_default=True, help="How many values.")
@click.option(
    "--plot",
    "picture",
    type=PictureFile(),
    metavar="PICTURE",
    help="Draw one step into this .png or .svg file.",
)
@click.option("--step", default=1, show_default=True, help="The step to draw, from 1.")
@click.option("--json", "as_lines", is_flag=True, help="Print the rows as JSON lines.")
@takes(SweepRequest)
def sweep_command(request: SweepRequest) -> None:
    """Vary one number of FILE's stages with the same dice.

    The table says what each value would have taken. With --plot, a map shows the token of every draw and
    value.
    """
    values = request.values(request.count)
    recording = open_recording(request.file)
    rows = list(sweep(recording, request.over, values))
    if request.as_lines:
        for row in rows:
            text.write(dumps({"sweep": as_json(row)}), sys.stdout)
    else:
        text.write(sweep_table(request.over, rows), sys.stdout)
    if request.picture is not None:
        _draw(recording, request, request.picture)


def _draw(recording: Recording, request: SweepRequest, path: str) -> None:
    # Imported here, because matplotlib takes a while to import.
    from minilm.faces import plots

    values = request.values(max(request.count, _PICTURE_COLUMNS))
    found = draw_map(recording, request.step - 1, request.over, values)
    click.echo(f"wrote {plots.save_picture(plots.plot_draw_map(found, recording.texts), path)}", err=True)
