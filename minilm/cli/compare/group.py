"""minilm compare: one sub-command for each thing that can be compared, and the older spellings of each.

`minilm compare --steps 5` means `minilm compare backends --steps 5`, and `minilm compare A B` means
`minilm compare models A B`: name_mode adds the name of the sub-command where a user leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from minilm.cli.compare import backends, defaults, models, native, student

__all__ = ["command", "name_mode"]

MODES: dict[str, click.Command] = {
    "backends": backends.command,
    "reference": student.reference,
    "models": models.command,
    "template": student.template,
    "defaults": defaults.command,
    "native": native.command,
}

# An option that stands for a sub-command, and whether it is also an option of that sub-command.
_OPTIONS_OF_MODES = {
    "--template": ("template", False),
    "--native": ("native", False),
    "--ladder": ("native", True),
    "--plot": ("native", True),
    "--defaults": ("defaults", False),
    "--rows": ("defaults", False),
    "--with": ("defaults", True),
}


def name_mode(words: Sequence[str]) -> list[str]:
    """Put the name of the sub-command before the words that a user typed.

    Args:
        words: what follows `minilm compare`.

    >>> name_mode(["--steps", "5"])
    ['backends', '--steps', '5']
    >>> name_mode(["reference", "my_lstm.py"])
    ['reference', 'my_lstm.py']
    >>> name_mode(["--native=numpy,torch", "--ladder"])
    ['native', 'numpy,torch', '--ladder']
    """
    if words and words[0] in (*MODES, "--help", "-h"):
        return list(words)
    # --native=A,B is the same as --native A,B.
    parts = [part for word in words for part in (word.split("=", 1) if _stands_for_mode(word) else [word])]
    subjects = _find_subjects(parts)
    if subjects and "--template" not in parts:
        first = parts[subjects[0]]
        rest = [part for place, part in enumerate(parts) if place != subjects[0]]
        return [first, *rest] if first in MODES else ["models", *parts]
    named = [_OPTIONS_OF_MODES[part][0] for part in parts if part in _OPTIONS_OF_MODES]
    name = min(named, key=list(MODES).index, default="backends")
    # An option that is only a name for the sub-command goes: --rows becomes defaults.
    return [name, *(part for part in parts if _OPTIONS_OF_MODES.get(part, (name, True)) != (name, False))]


def _stands_for_mode(word: str) -> bool:
    return word.split("=", 1)[0] in _OPTIONS_OF_MODES


def _find_subjects(words: Sequence[str]) -> list[int]:
    """Return the places of the words that are no option, and no value of one."""
    flags = {
        name
        for mode in MODES.values()
        for parameter in mode.params
        if isinstance(parameter, click.Option) and parameter.is_flag
        for name in parameter.opts
    } | {"--defaults", "--rows", "--help", "-h"}
    return [
        place
        for place, (word, last) in enumerate(zip(words, ["", *words], strict=False))
        if not word.startswith("-") and (not last.startswith("-") or last in flags or "=" in last)
    ]


class _Modes(click.Group):
    """A group whose sub-commands can be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, name_mode(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, name_mode(args))


@click.command(
    cls=_Modes,
    commands=MODES,
    epilog="Example: minilm compare --backends numpy,torch --steps 5\n\n"
    "A student's LSTM: minilm compare --template numpy > my_lstm.py; minilm compare reference my_lstm.py"
    "\n\n\b\n"
    "In Python: from minilm.comparison import prepare_comparison; prepare_comparison(steps=5).train()",
)
def command() -> None:
    """Compare backends, a student's LSTM, or two models, and see the first number that differs.

    Without the name of a sub-command, options alone mean `backends`, and two names mean `models`. Exit code 1
    where a difference is past the tolerance.
    """
