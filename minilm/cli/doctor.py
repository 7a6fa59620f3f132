"""minilm doctor: examine a training loop or a recorded run, and open the museum of broken trainings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import click

from minilm import doctor
from minilm.cli.options.request import takes
from minilm.doctor import museum
from minilm.doctor.run_file import watch_file
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.findings import exhibits_table, findings_text
from minilm.trace.json import as_json, dumps

__all__ = ["DoctorRequest", "MuseumRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class DoctorRequest:
    """The options of `minilm doctor`.

    Attributes:
        file: The training file to run and watch, or None.
        arguments: What the file finds in sys.argv[1:].
        run: A recorded run to examine instead of a file, or None.
        steps: Training steps to watch.
        seconds: The longest time that the file may run.
        record: Where to keep the records of the file's run, or None.
        as_lines: Print the findings as JSON lines.
    """

    file: str | None
    arguments: tuple[str, ...]
    run: str | None
    steps: int
    seconds: int
    record: str | None
    as_lines: bool

    def read_records(self) -> list[doctor.Record]:
        """Return the records of the recorded run, or of the file after running it.

        Raises:
            MinilmError: The options do not fit together, or there are no records.
        """
        if (self.file is None) == (self.run is None):
            raise MinilmError(
                "Give one training file, FILE.py, or one record, --run RECORD; see minilm doctor --help"
            )
        if self.steps < 1 or self.seconds < 1:
            raise MinilmError(
                f"--steps and --seconds must be at least 1, got {self.steps} and {self.seconds}"
            )
        if self.file is None:
            return list(doctor.load_run(str(self.run)))
        record = None if self.record is None else Path(self.record)
        return watch_file(Path(self.file), self.arguments, self.steps, self.seconds, record)


@dataclass(frozen=True, kw_only=True)
class MuseumRequest:
    """The options of `minilm doctor museum`.

    Attributes:
        name: The exhibit to open; None to list all.
        path: Print where the exhibit's record is.
        as_lines: Print JSON lines.
    """

    name: str | None
    path: bool
    as_lines: bool


class _FileOrSubcommand(click.Group):
    """A group whose first word may also be a file: `FILE.py` and everything after it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((word for word in args if word in self.commands or word.endswith(".py")), "")
        file, arguments = None, ()
        if first.endswith(".py"):
            place = args.index(first)
            file, arguments, args = first, tuple(args[place + 1 :]), args[:place]
        rest = super().parse_args(ctx, args)
        added: dict[str, Any] = {"file": file, "arguments": arguments}
        ctx.params.update(added)
        return rest


@click.command(
    cls=_FileOrSubcommand,
    invoke_without_command=True,
    subcommand_metavar="[FILE.py [ARGUMENTS]... | museum]",
    epilog="Example: minilm doctor museum softmax_twice\n\n\b\n"
    "In Python: from pathlib import Path; from minilm.doctor.run_file import watch_file; "
    "watch_file(Path('train.py'), steps=50)",
)
@click.option("--run", "run", metavar="RECORD", help="Examine a recorded run (JSON lines) instead of a file.")
@click.option(
    "--steps", default=100, show_default=True, help="Training steps to watch; then the file is stopped."
)
@click.option("--seconds", default=120, show_default=True, help="The longest time that the file may run.")
@click.option("--record", metavar="RECORD", help="Keep what the doctor saw, to open it later with --run.")
@click.option("--json", "as_lines", is_flag=True, help="Print the findings as JSON lines.")
@takes(DoctorRequest)
def command(request: DoctorRequest) -> None:
    """Find what is wrong with a training loop in PyTorch or TensorFlow.

    The doctor runs your training file and watches its steps: minilm doctor --steps 50 train.py

    Options come before FILE.py; all words after it go to the file. The file runs with your rights, so only
    run a file that you trust.

    The exit code is 0 where nothing was found, 1 where something was found, and 2 where nothing was found but
    loss, gradients or updates could not be looked at, or the file failed.
    """
    context = click.get_current_context()
    if context.invoked_subcommand:
        return
    watching = doctor.Watching()
    watching.records = request.read_records()
    findings = watching.findings()
    run = doctor.WatchedRun.of(watching.records)
    if request.as_lines:
        _print_json(findings)
    else:
        blind, notices = doctor.find_blind_checks(run), list(doctor.find_notices(run))
        console.write(findings_text(findings, watching.steps, blind, len(doctor.CHECKS), notices), sys.stdout)
    has_failed = run.ending is not None and run.ending.error
    looked = doctor.has_core(run) and not has_failed
    context.exit(1 if findings else 0 if looked else 2)


@command.command(
    "museum",
    epilog="Example: minilm doctor museum softmax_twice\n\n\b\n"
    "In Python: from minilm import doctor; from minilm.doctor import museum; "
    "doctor.examine(museum.open_exhibit('softmax_twice'))",
)
@click.argument("name", required=False)
@click.option("--path", is_flag=True, help="Print where the record is, to open it with another program.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines.")
@takes(MuseumRequest)
def museum_command(request: MuseumRequest) -> None:
    """List the recorded broken trainings, or open one of them by its NAME.

    An open record shows its losses and what the doctor finds.
    """
    if request.name is None:
        _list_exhibits(request.as_lines)
        return
    records = list(museum.open_exhibit(request.name))
    findings = list(doctor.examine(records))
    if request.path:
        click.echo(museum.EXHIBITS / f"{request.name}.jsonl")
    elif request.as_lines:
        _print_json(findings)
    else:
        losses = [record.loss for record in records if isinstance(record, doctor.Observation)]
        console.write("losses  " + " ".join(f"{loss:.2f}" for loss in losses[:12]) + " …\n", sys.stdout)
        console.write(findings_text(findings, len(losses)), sys.stdout)


def _list_exhibits(as_lines: bool) -> None:
    if not as_lines:
        console.write(exhibits_table(museum.list_exhibits()), sys.stdout)
        return
    for exhibit in museum.list_exhibits():
        click.echo(dumps({"exhibit": as_json(exhibit)}))


def _print_json(findings: Sequence[doctor.Finding]) -> None:
    for finding in findings:
        # JSON has neither NaN nor infinity.
        number = finding.number if isfinite(finding.number) else str(finding.number)
        click.echo(dumps({"finding": {**as_json(finding), "number": number}}))
