"""minilm twin: two models in lockstep with the same draws; where their texts differ, and why."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from minilm.builtin import PROMPT
from minilm.cli.options.model import open_with_notices
from minilm.cli.options.request import takes
from minilm.cli.options.stages import StageOptions, stage_options
from minilm.comparison import LockstepStep, LockstepVerdict, judge_lockstep, run_lockstep
from minilm.errors import MinilmError
from minilm.faces import console
from minilm.faces.comparison import lockstep_sentences, lockstep_table
from minilm.trace.json import as_json, dumps
from minilm.workflows.open import Opened

__all__ = ["TwinRequest", "command"]


@dataclass(frozen=True, kw_only=True)
class TwinRequest(StageOptions):
    """The options of `minilm twin`.

    Attributes:
        sources: At most two models; one is compared with itself, none is the built-in model.
        backends: The frameworks to open them in, with a comma between them, or None.
        device: Where the frameworks run.
        dtype: float32 or float64.
        prompt: The text that both continue.
        seed: The seed of the draws of both.
        max_tokens: The most new tokens.
        tolerance: The largest difference of logits that counts as equal, times max(1, largest logit).
        as_lines: Print JSON lines instead of a table.
    """

    sources: tuple[str, ...]
    backends: str | None
    device: str
    dtype: str
    prompt: str
    seed: int
    max_tokens: int
    tolerance: float
    as_lines: bool


@click.command(
    epilog="Example: minilm twin --backends numpy,numpy --max-tokens 5\n\n\b\n"
    "In Python: from minilm.comparison import run_lockstep; lm = minilm.open(); "
    "run_lockstep([lm.model, lm.model], lm.codec, 'Once')"
)
@click.argument("sources", nargs=-1, metavar="[MODEL_A [MODEL_B]]")
@click.option("--backends", metavar="A,B", help="Open them in these frameworks, such as torch,tensorflow.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps ...")
@click.option("--dtype", default="float32", show_default=True, help="float32 or float64.")
@click.option("--prompt", default=PROMPT, show_default=True, help="The text that both continue.")
@stage_options
@click.option("--seed", default=0, show_default=True, help="Seed of the draws of both.")
@click.option("--max-tokens", default=40, show_default=True, help="The most new tokens.")
@click.option("--tolerance", default=1e-5, show_default=True, help="Of a logit, times max(1, largest logit).")
@click.option("--json", "as_lines", is_flag=True, help="Print the records as JSON lines instead of a table.")
@takes(TwinRequest)
def command(request: TwinRequest) -> None:
    """Compare two models step by step, with the same context, stages and draws.

    MODEL is a folder or hf:PATH_OR_ID. One alone is compared with itself in another framework; without any,
    the built-in model is used. Exit code 1 where the texts differ, unless rounding and the margin of the
    draw explain it.
    """
    if request.max_tokens < 1 or not request.tolerance > 0:
        raise MinilmError("--max-tokens must be at least 1 and --tolerance above 0")
    stages = request.build_stages()
    one, other = _open_both(request)
    steps = list(
        run_lockstep(
            [one.model, other.model],
            one.codec,
            request.prompt,
            stages,
            request.seed,
            max_tokens=request.max_tokens,
            eos_ids=one.eos_ids,
        )
    )
    verdict = judge_lockstep(steps, (one.model.name, other.model.name), request.tolerance)
    if request.as_lines:
        _print_lines(steps, verdict)
    else:
        console.write(f"{lockstep_table(steps)}\n\n{lockstep_sentences(verdict)}", sys.stdout)
    click.get_current_context().exit(0 if verdict.equal else 1)


def _print_lines(steps: Sequence[LockstepStep], verdict: LockstepVerdict) -> None:
    for step in steps:
        click.echo(dumps({"twin": {**as_json(step), "agree": step.agree}}))
    click.echo(dumps({"verdict": {**as_json(verdict), "equal": verdict.equal}}))


def _open_both(request: TwinRequest) -> list[Opened]:
    """Open both models; torch must be loaded before TensorFlow, so what runs in TensorFlow comes last."""
    if len(request.sources) > 2:
        raise MinilmError(f"minilm twin takes at most two models, got {len(request.sources)}")
    sources = list(request.sources)
    both: list[str | None] = [*sources] * 2 if len(sources) == 1 else [*sources] or [None, None]
    backends = [name.strip() or None for name in (request.backends or ",").split(",")]
    if len(backends) != 2:
        raise MinilmError(f"--backends takes two names, such as torch,tensorflow, got {request.backends}")
    opened = {
        place: open_with_notices(both[place], backends[place], request.device, request.dtype)
        for place in sorted((0, 1), key=lambda place: backends[place] == "tensorflow")
    }
    return [opened[0], opened[1]]
