"""minilm twin: two models in lockstep with the same dice; where their texts part, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from minilm.builtin import PROMPT
from minilm.cli.options.model import open_model
from minilm.cli.options.stages import pipeline, stage_options
from minilm.comparison import judge_lockstep, run_lockstep
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.comparison import twin_sentences, twin_table
from minilm.trace.json import as_json, dumps
from minilm.workflows.open import Opened

__all__ = ["command"]


@click.command(epilog="Example: minilm twin --backends numpy,numpy --max-tokens 5")
@click.argument("sources", nargs=-1, metavar="[MODEL_A [MODEL_B]]")
@click.option("--backends", metavar="A,B", help="Open them in these frameworks, such as torch,tensorflow.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps ...")
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option("--prompt", default=PROMPT, show_default=True, help="What both go on from.")
@stage_options
@click.option("--seed", default=0, show_default=True, help="Seed of the dice of both.")
@click.option("--max-tokens", default=40, show_default=True, help="The most new tokens.")
@click.option("--tolerance", default=1e-5, show_default=True, help="Of a logit, times max(1, largest logit).")
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of a table.")
@click.pass_context
def command(context: click.Context, sources: tuple[str, ...], as_lines: bool, **options: Any) -> None:
    """Hold two models side by side, step by step, with the same context, stages and dice.

    MODEL is a folder or hf:PATH_OR_ID; one alone is held beside itself in another framework, none is the
    built-in model. Exit code 1 where the texts part, unless rounding and the draw's margin explain it.
    """
    if options["max_tokens"] < 1 or not options["tolerance"] > 0:
        raise MinilmError("--max-tokens must be at least 1 and --tolerance above 0")
    stages = pipeline(options)
    one, other = _opened(sources, options)
    steps = list(
        run_lockstep(
            [one.model, other.model], one.codec, options["prompt"], stages, options["seed"],
            max_tokens=options["max_tokens"], eos_ids=one.eos_ids,
        )
    )  # fmt: skip
    verdict = judge_lockstep(steps, (one.model.name, other.model.name), options["tolerance"])
    if as_lines:
        for step in steps:
            click.echo(dumps({"twin": {**as_json(step), "agree": step.agree}}))
        click.echo(dumps({"verdict": {**as_json(verdict), "equal": verdict.equal}}))
    else:
        console.write(f"{twin_table(steps)}\n\n{twin_sentences(verdict)}", sys.stdout)
    context.exit(0 if verdict.equal else 1)


def _opened(sources: Sequence[str], options: dict[str, Any]) -> list[Opened]:
    """Both models; what runs in torch is opened first, as torch must be loaded before TensorFlow."""
    if len(sources) > 2:
        raise MinilmError(f"A twin run takes two models, got {len(sources)}")
    both: list[str | None] = [*sources] * 2 if len(sources) == 1 else [*sources] or [None, None]
    backends: list[str | None] = [name.strip() for name in (options["backends"] or ",").split(",")]
    if len(backends) != 2:
        raise MinilmError(f"--backends takes two names, such as torch,tensorflow, got {options['backends']}")
    asked = [(source, backend or None) for source, backend in zip(both, backends, strict=True)]
    opened = {
        place: open_model(*asked[place], options["device"], options["dtype"])
        for place in sorted((0, 1), key=lambda place: asked[place][1] == "tensorflow")
    }
    return [opened[0], opened[1]]
