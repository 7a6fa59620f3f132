"""minilm doctor: a training loop, or a recorded run of one, examined; and the museum of broken ones."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import click

from minilm import doctor
from minilm.doctor import museum
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.findings import exhibits_table, findings_text
from minilm.trace.json import as_json, dumps

__all__ = ["command"]


class _FileOrName(click.Group):
    """A first word that is no sub-command is a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [word for word in args if word in self.commands or word.endswith(".py")]
        ctx.meta["file"] = words[0] if words and words[0].endswith(".py") else None
        if ctx.meta["file"]:
            at = args.index(words[0])
            ctx.meta["arguments"], args = args[at + 1 :], args[:at]
        return super().parse_args(ctx, args)


@click.command(
    cls=_FileOrName,
    invoke_without_command=True,
    subcommand_metavar="[FILE.py [ARGUMENTS]... | museum]",
    epilog="Example: minilm doctor museum softmax_twice",
)
@click.option("--run", "run", metavar="RECORD", help="Examine a recorded run (JSON lines) instead of a file.")
@click.option(
    "--steps", default=100, show_default=True, help="Training steps to watch; then the file is stopped."
)
@click.option("--seconds", default=120, show_default=True, help="The longest that the file may run.")
@click.option("--record", metavar="RECORD", help="Keep what was seen, for --run.")
@click.option("--json", "as_lines", is_flag=True, help="Print the findings as JSON lines.")
@click.pass_context
def command(
    context: click.Context, run: str | None, steps: int, seconds: int, record: str | None, as_lines: bool
) -> None:
    """Find what is wrong with a training loop in PyTorch or TensorFlow: the file is run and watched.

    For a file of your own: minilm doctor --steps 50 train.py

    Options stand before FILE.py; what follows it is handed to it. The file runs with your rights: only
    run what you trust. Exit code 1 where something was found.
    """
    if context.invoked_subcommand:
        return
    file = context.meta["file"]
    if (file is None) == (run is None):
        raise MinilmError(
            "Give one training file, FILE.py, or one record, --run RECORD; see minilm doctor --help"
        )
    if steps < 1 or seconds < 1:
        raise MinilmError(f"--steps and --seconds must be at least 1, got {steps} and {seconds}")
    if run is not None:
        found = list(doctor.load(run))
    else:
        found = _watched(Path(file), context.meta["arguments"], steps, seconds, record)
    _show(context, found, as_lines)


@command.command("museum", epilog="Example: minilm doctor museum softmax_twice")
@click.argument("name", required=False)
@click.option("--path", is_flag=True, help="Print where the record is, to open it elsewhere.")
@click.option("--json", "as_lines", is_flag=True, help="Print JSON lines.")
@click.pass_context
def museum_command(context: click.Context, name: str | None, path: bool, as_lines: bool) -> None:
    """List the recorded broken trainings, or open one.

    Its losses, and what the doctor says.
    """
    if name is None:
        if as_lines:
            for one in museum.list_exhibits():
                click.echo(dumps({"exhibit": as_json(one)}))
        else:
            console.write(exhibits_table(museum.list_exhibits()), sys.stdout)
        return
    records = list(museum.open_exhibit(name))
    if path:
        click.echo(museum.EXHIBITS / f"{name}.jsonl")
    elif as_lines:
        _print_lines(list(doctor.examine(records)))
    else:
        losses = [record.loss for record in records if isinstance(record, doctor.Observation)]
        console.write("losses  " + " ".join(f"{loss:.2f}" for loss in losses[:12]) + " …\n", sys.stdout)
        console.write(findings_text(list(doctor.examine(records)), len(losses)), sys.stdout)


def _watched(
    file: Path, arguments: Sequence[str], steps: int, seconds: int, record: str | None
) -> list[doctor.Record]:
    """The records of a file's run; what it prints goes to standard error."""
    if not file.is_file():
        raise MinilmError(f"Training file {file} does not exist")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(record) if record else Path(folder) / "run.jsonl"
        words = [
            sys.executable,
            "-m",
            "minilm.doctor.run_file",
            str(file),
            str(place),
            str(steps),
            *arguments,
        ]
        try:
            code = subprocess.run(words, stdout=sys.stderr, timeout=seconds, check=False).returncode
        except subprocess.TimeoutExpired:
            raise MinilmError(
                f"{file} ran for more than {seconds} s; give fewer --steps or more --seconds"
            ) from None
        found = list(doctor.load(place)) if place.exists() else []
    if code and not found:
        raise MinilmError(f"{file} failed before a training step was seen; its error stands above")
    return found


def _show(context: click.Context, records: Sequence[doctor.Record], as_lines: bool) -> None:
    watching = doctor.Watching()
    watching.records = list(records)
    findings = watching.findings()
    if as_lines:
        _print_lines(findings)
    else:
        console.write(findings_text(findings, watching.steps), sys.stdout)
    context.exit(1 if findings else 0)


def _print_lines(findings: Sequence[doctor.Finding]) -> None:
    for finding in findings:
        number = finding.number if isfinite(finding.number) else str(finding.number)
        click.echo(dumps({"finding": {**as_json(finding), "number": number}}))
