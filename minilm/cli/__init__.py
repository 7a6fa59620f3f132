"""The command minilm. A sub-command parses its options, calls the library and shows what comes back.

`minilm --help` must answer at once, so a sub-command's module is imported only when the sub-command is named.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from difflib import get_close_matches
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from minilm.cli.advice import add_advice
from minilm.errors import MinilmError, first_line
from minilm.workflows.codec import tokenizer_errors

__all__ = ["main"]

# Name: (module, one line of help).
COMMANDS = {
    "demo": ("minilm.cli.demo", "See everything once, in about a minute, with an HTML report."),
    "generate": ("minilm.cli.generate", "Write text and see how every token was chosen."),
    "train": ("minilm.cli.train", "Train a tokenizer and an LSTM on a text or on stories."),
    "compare": ("minilm.cli.compare.group", "Compare two frameworks on equal weights."),
    "lesson": ("minilm.cli.lesson", "Take the course: list, start and check its lessons."),
    "debug": ("minilm.cli.debug.group", "Step through a generation or a training, forward and back."),
    "score": ("minilm.cli.score", "Measure how well a model predicts a given text."),
    "inside": ("minilm.cli.inside", "Look inside: gates, memory, attention, logit lens, units."),
    "stages": ("minilm.cli.stages", "List the sampling stages, presets and dialects."),
    "tokenizer": ("minilm.cli.tokenizer", "Train a tokenizer, encode text, explain every merge."),
    "trace": ("minilm.cli.trace.show", "Show, draw, compare, check and replay a recorded run."),
    "twin": ("minilm.cli.twin", "Run two models step by step until their texts differ."),
    "doctor": ("minilm.cli.doctor", "Find what is wrong with a training loop."),
    "check-setup": ("minilm.cli.check_setup", "Check what this machine can run, and how to fix the rest."),
    "bench": ("minilm.cli.bench", "Measure the speed of every backend."),
}

# `minilm --help` shows these, `minilm --help-all` all.
FIRST_HOUR = ("demo", "generate", "train", "compare", "lesson")


class _Commands(click.Group):
    """The sub-commands by name. Help lists the first five, --help-all lists every one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(COMMANDS[cmd_name][0]).command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and (near := get_close_matches(args[0], COMMANDS, 1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = COMMANDS if ctx.meta.get("all") else FIRST_HOUR
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in names])


def _help_all(ctx: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked:
        ctx.meta["all"] = True
        click.echo(ctx.get_help())
        ctx.exit()


@click.command(
    cls=_Commands,
    epilog="Example: minilm generate --prompt 'Once upon a time' --max-tokens 5\n\n\b\n"
    "In Python: minilm.open().text('Once upon a time', 'Temperature(0.8) TopK(40)', max_tokens=5)",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--help-all",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_help_all,
    help="Show every command.",
)
@click.version_option(package_name="minilm")
def command() -> None:
    """Train small language models, and see how every token is chosen."""


def main() -> None:
    """Run the command line. A user's mistake is one line on standard error and exit code 2."""
    _replace_closed_streams()
    try:
        with tokenizer_errors():
            code = command(standalone_mode=False)
        # What is left in memory is written here, where an error becomes one line.
        sys.stdout.flush()
    except NoArgsIsHelpError as error:
        # A group without a sub-command shows its help.
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        path = context.command_path if context else ""
        said = add_advice(error.format_message().replace("\n", " "), path)
        end = "" if said.endswith((".", "?", ")")) else "."
        _leave(f"{said}{end} See: {path} --help" if path else said, error.exit_code)
    except click.Abort:
        _leave("stopped", 130)
    except OSError as error:
        _leave_output(error)
    except MinilmError as error:
        _leave(add_advice(str(error)), 2)
    except MemoryError as error:
        what = first_line(error, 120) or "more than this machine has"
        _leave(f"The memory is not enough ({what}); give a smaller model, --batch or --length", 2)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _replace_closed_streams() -> None:
    """Open the null device for every stream that the shell closed (<&-, >&-, 2>&-).

    Files are still written, and errors are shown where standard error is open.
    """
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(os.devnull), encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8")


def _leave_output(error: OSError) -> NoReturn:
    """End where a file or the output cannot be read or written, such as a pipe whose reader is gone."""
    # Python writes what is left in standard output when it ends, and would complain a second time.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        sys.exit(1)
    place = "" if error.filename is None else f" {error.filename}"
    _leave(f"The system refuses to read or write{place}: {error.strerror or error}", 2)


def _leave(line: str, code: int) -> NoReturn:
    # A name that was typed may hold control characters.
    from minilm.faces.visible import visible

    click.echo(f"minilm: {visible(line, keep='')}", err=True)
    sys.exit(code)
