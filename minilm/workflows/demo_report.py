"""The demo's report: one page in six sections, and every picture as a file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilm.builtin import PROMPT
from minilm.faces import html, plots

if TYPE_CHECKING:
    from minilm.workflows.demo import Ground, Run, Start, Trained

__all__ = ["write_report"]


def write_report(
    folder: Path,
    ground: Ground,
    start: Start,
    trained: Trained,
    gpt2: Trained | None,
    runs: Mapping[str, Run],
    stages: str,
) -> None:
    """Write report.html and pictures/ into a folder.

    Args:
        folder: where to write.
        ground: the text and its tokenizer.
        start: the first steps in every framework.
        trained: the LSTM's training.
        gpt2: the GPT-2's training; None where there was none.
        runs: what each model wrote, by name.
        stages: the sampling stages of the runs.
    """
    sections = [
        _text(ground),
        _frameworks(start, trained, ground),
        _steps(runs[start.names[0]], stages),
        _run_pictures(runs[start.names[0]]),
        *([_gpt2(runs["hf gpt2"], gpt2, ground)] if gpt2 is not None else []),
        _texts(runs),
    ]
    lead = (
        "A tokenizer, an LSTM in every installed framework, and every token explained: made on this machine."
    )
    page = html.report("minilm: how a language model writes", sections, lead=lead)
    (folder / "report.html").write_text(page, encoding="utf-8", newline="\n")
    _save_pictures(folder / "pictures", sections)


def _text(ground: Ground) -> html.Section:
    story = ground.stories[0]
    ids = ground.codec.encode(story[:60])
    rows = [[str(i), repr(ground.codec.decode([i])), ground.codec.piece_bytes(i).hex(" ")] for i in ids]
    floor = ground.floor
    prose = (
        "Storyland is a small story grammar that knows its own probabilities. A perfect model of it would "
        f"still be surprised by {floor.per_token:.3f} nats per token ({floor.per_character:.3f} per "
        "character): that is the floor of every loss curve below. Byte-pair encoding cuts the text into "
        "pieces, and each piece has a number, its id: all that a model ever sees."
    )
    table = html.Table(["id", "text", "bytes"], rows, "The first ids of the story above.", "rll")
    return html.Section("Text becomes ids", prose, texts={"A story": story}, tables=[table])


def _frameworks(start: Start, trained: Trained, ground: Ground) -> html.Section:
    head, *rows = start.rows()
    count = len(start.steps[start.names[0]])
    prose = (
        f"The same {count} steps in each framework, from the same weights on the same batches: the losses "
        f"differ by rounding alone. Then training went on in {start.best} for {len(trained.steps)} steps; on "
        f"stories it had never seen: {trained.describe(ground.floor)}."
    )
    table = html.Table(head, rows, "Parity over the common steps.", "lrrrr")
    curves = {f"{name}, common steps": steps for name, steps in start.steps.items()}
    pictures = [
        plots.plot_losses({start.best: trained.steps}, ground.floor.per_token),
        plots.plot_losses(curves, ground.floor.per_token),
    ]
    return html.Section("One model, several frameworks", prose, pictures, tables=[table])


def _steps(run: Run, stages: str) -> html.Section:
    prose = (
        f"The trained LSTM goes on from {PROMPT!r} with {stages}. Each card is one step: the token that was "
        "read and its embedding, the candidates before and after the sampling stages, and the draw that "
        "chose one of them."
    )
    return html.Section("Watch it think", prose, steps=run.steps[:6], prompt=PROMPT)


def _run_pictures(run: Run) -> html.Section:
    middle = max(run.steps[:-1] or run.steps, key=lambda step: step.decision.raw.entropy)
    pictures = [
        plots.plot_step(middle),
        plots.plot_heatmap(run.steps[:24]),
        plots.plot_course(run.steps),
        plots.plot_embeddings(run.steps),
        plots.plot_ranks(run.steps),
    ]
    prose = "The same run as pictures; the first is the step at which the model was least certain."
    return html.Section("The whole run", prose, pictures)


def _gpt2(run: Run, trained: Trained, ground: Ground) -> html.Section:
    above = trained.above(ground.floor)
    prose = (
        f"A GPT-2 of Hugging Face, two layers small, trained for {len(trained.steps)} steps on the same ids "
        f"to {trained.validation:.3f} nats per token ({above:.3f} above the floor), saved by transformers, "
        "and opened by the same command that opens gpt2."
    )
    pictures = [
        plots.plot_losses({"GPT-2": trained.steps}, ground.floor.per_token),
        plots.plot_heatmap(run.steps[:24]),
    ]
    return html.Section(
        "A transformer under the same debugger", prose, pictures, run.steps[:3], prompt=PROMPT
    )


def _texts(runs: Mapping[str, Run]) -> html.Section:
    prose = "Equal weights, equal stages and equal dice give equal text, whichever framework computes it."
    return html.Section("What each of them wrote", prose, texts={n: PROMPT + r.text for n, r in runs.items()})


def _save_pictures(folder: Path, sections: list[html.Section]) -> None:
    folder.mkdir()
    for number, picture in enumerate(_pictures(sections), 1):
        for kind in ("png", "svg"):
            plots.save_picture(picture, folder / f"{number:02}.{kind}")


def _pictures(sections: list[html.Section]) -> Iterator[Any]:
    for section in sections:
        yield from section.pictures
