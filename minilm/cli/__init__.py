"""The command minilm: each sub-command parses, calls and renders; its module is loaded when it is named.

`minilm --help` must answer at once, so no sub-command is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from minilm.errors import MinilmError

__all__ = ["main"]

COMMANDS = {  # name -> (module, one line)
    "demo": ("minilm.cli.demo", "The whole product in about a minute, with an HTML report."),
    "generate": ("minilm.cli.generate", "Stream text and see how every token was chosen."),
    "train": ("minilm.cli.train", "Train a tokenizer and an LSTM on a text or on stories."),
    "compare": ("minilm.cli.compare.backends", "Hold two frameworks side by side on equal weights."),
    "twin": ("minilm.cli.twin", "Two models in lockstep with the same dice; where they part."),
    "lesson": ("minilm.cli.lesson", "The course: list, start and check its lessons."),
    "debug": ("minilm.cli.debug.group", "Step through a generation or a training: on, back, otherwise."),
    "tokenizer": ("minilm.cli.tokenizer", "Train, encode, and explain merge by merge."),
    "stages": ("minilm.cli.stages", "The sampling stages, how each is written, presets, dialects."),
    "score": ("minilm.cli.score", "Surprisal, rank and candidates of a given text; perplexity."),
    "inside": ("minilm.cli.inside", "Gates, memory, attention, logit lens, neighbours and units."),
    "trace": ("minilm.cli.trace.show", "A recorded run: show, plot, html, csv, diff, check, replay, sweep."),
    "check-setup": ("minilm.cli.check_setup", "What this machine can run, and how to mend the rest."),
    "doctor": ("minilm.cli.doctor", "Find what is wrong with a training loop; the bug museum."),
    "bench": ("minilm.cli.bench", "Speed of every backend, as ratios to the plain framework."),
}
FIRST_HOUR = ("demo", "generate", "train", "compare", "lesson")


class _Commands(click.Group):
    """Sub-commands by name, imported one at a time; help lists five, --help-all every one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(COMMANDS[cmd_name][0]).command

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
    epilog="Example: minilm generate --prompt 'Once upon a time' --max-tokens 5",
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
    """A glass box for language models: train small ones, and watch every token being chosen."""


def main() -> None:
    """Run the command line; a user's mistake is one line and exit code 2."""
    if sys.stdout is None:  # closed by the shell (>&-): what is written to files and said of errors goes on
        sys.stdout = io.TextIOWrapper(io.FileIO(os.devnull, "w"), encoding="utf-8")
    try:
        code = command(standalone_mode=False)
    except NoArgsIsHelpError as error:  # a group without a command: its help as it is, on standard error
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _leave(error.format_message().replace("\n", " ") + _see(error), error.exit_code)
    except click.Abort:
        _leave("stopped", 130)
    except OSError as error:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or Python complains once more at exit
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        place = "" if error.filename is None else f" {error.filename}"
        _leave(f"The system refuses to read or write{place}: {error.strerror or error}", 2)
    except ValueError as error:
        from tokenizer import TokenizerError  # loaded here, where all went wrong, so that --help is quick

        if not isinstance(error, MinilmError | TokenizerError):
            raise
        _leave(str(error), 2)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _see(error: click.ClickException) -> str:
    """Where to read on, for a mistake in the use of a command."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f" See: {context.command_path} --help" if context else ""


def _leave(line: str, code: int) -> NoReturn:
    from minilm.faces.visible import visible  # a name that was typed may hold anything

    click.echo(f"minilm: {visible(line, keep='')}", err=True)
    sys.exit(code)
