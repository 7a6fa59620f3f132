"""The commands of `minilm debug train` that show something; the place in the training stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minilm.cli.debug.loop import Action, parse_number, say
from minilm.cli.debug.train_navigate import TrainState
from minilm.cli.debug.values import field_at
from minilm.comparison.training import follow_prompt, measure_update, spread_steps, visit_steps
from minilm.errors import MinilmError
from minilm.faces.text import train as text_train
from minilm.records import Array, TrainStep
from minilm.token_text import TokenTexts
from minilm.training.timeline.branch_diff import branch_steps, weight_differences
from minilm.training.timeline.breakpoints import NAMES
from minilm.training.timeline.gates import gate_moment, gates_through
from minilm.training.timeline.token_losses import batch_rows, facts_of, surprised

__all__ = ["INSPECT"]

# How many tokens of a row `gates` shows where no text is given.
_TOKENS = 24


def _step(state: TrainState) -> TrainStep:
    step = state.here.step
    if step is None:
        raise MinilmError("No step has been taken yet; next takes one")
    return step


def _tokens(state: TrainState, argument: str) -> None:
    step = _step(state)
    rows = parse_number(argument) if argument else 2
    say(text_train.batch_text(batch_rows(step, state.codec, rows), step))


def _surprised(state: TrainState, argument: str) -> None:
    most = parse_number(argument) if argument else 10
    say(text_train.surprised_text(surprised(_step(state), state.codec, most)))


def _norms(state: TrainState, _: str) -> None:
    say(text_train.norms_text(_step(state)))


def _gradients(state: TrainState, _: str) -> None:
    gradients = state.here.gradients()
    norm, rate = gradients.global_norm, state.here.rate
    place = f"step {state.here.index + 1}, before its update"
    say(f"{place}: loss {gradients.loss:.4f}, gradient norm {norm:.4g}, rate {rate:g}")
    say(text_train.arrays_text(facts_of(gradients.arrays)))


def _update(state: TrainState, _: str) -> None:
    say(f"what the update of step {state.here.index + 1} would add, at rate {state.here.rate:g}")
    say(text_train.arrays_text(facts_of(state.here.updates())))


def _diff(state: TrainState, argument: str) -> None:
    names = argument.split()
    if len(names) != 2:
        raise MinilmError(f"diff takes two branches of {', '.join(state.session.branches)}, got {argument!r}")
    one, other = (state.session.branch(name) for name in names)
    steps = list(branch_steps(one, other))
    say(text_train.branch_text((names[0], names[1]), steps, weight_differences(one, other)))


def _gates(state: TrainState, argument: str) -> None:
    """Show the gates over a text, or over the first row of the batch; a file that is named gets pictures."""
    words = argument.split()
    files = [word for word in words if word.lower().endswith((".png", ".svg"))]
    rest = " ".join(word for word in words if word not in files)
    ids = state.codec.encode(rest, special=True) if rest else state.here.batch.inputs[0][:_TOKENS].tolist()
    texts = TokenTexts(state.codec)
    pieces = [texts(token) for token in ids]
    moment = gate_moment(state.here.model, ids, 0, state.here.index)
    say(text_train.gates_text(moment.rows(), pieces))
    if files:
        from minilm.faces.plots import plot_gates_over_text, plot_gates_over_training, save_picture

        target = Path(files[0])
        say(f"wrote {save_picture(plot_gates_over_text(moment, pieces), target)}")
        moments = list(gates_through(state.here, ids, spread_steps(state.here.first, state.here.index)))
        over = target.with_stem(f"{target.stem}-training")
        say(f"wrote {save_picture(plot_gates_over_training(moments), over)}")


def _prompt(state: TrainState, argument: str) -> None:
    """Show what the model wrote at some places that led here, and what it writes here."""
    if not argument:
        raise MinilmError("prompt takes a text, such as: prompt Once upon a time")
    models = visit_steps(state.here, spread_steps(state.here.first, state.here.index))
    say(text_train.moments_text(list(follow_prompt(models, state.codec, argument, max_tokens=12))))


def _effect(state: TrainState, argument: str) -> None:
    if not argument:
        raise MinilmError("effect takes a text, such as: effect Once upon a")
    say(text_train.effect_text(measure_update(state.here, state.codec, argument)))


_ARRAYS: dict[str, Callable[[TrainState], Mapping[str, Array]]] = {
    "weight": lambda state: state.here.model.weights(),
    "gradient": lambda state: state.here.gradients().arrays,
    "update": lambda state: state.here.updates(),
    "snapshot": lambda state: state.here.model.snapshot(),
}


def _print(state: TrainState, argument: str) -> None:
    """Weights, gradients and updates are those of this place, before its next update."""
    if not argument:
        raise MinilmError("print takes a name, such as loss, embedding[3] or gradient head.bias")
    step, batch = state.here.step, state.here.batch
    if step is None and argument in NAMES:
        say(f"{argument} = not known before the first step")
        return
    first = argument.split()[0]
    # A gradient costs a whole forward and backward pass, so only the kind that is asked for is made.
    roots: dict[str, Any] = {
        **({} if step is None else {name: read(step) for name, (_, read) in NAMES.items()}),
        **{name: getattr(batch, name) for name in ("inputs", "targets", "mask")},
        **{kind: arrays(state) if kind == first else {} for kind, arrays in _ARRAYS.items()},
        **_ARRAYS["weight"](state),
    }
    value = field_at(roots, argument)
    if isinstance(value, Mapping):
        raise MinilmError(f"{argument} has several arrays; add the name of one: {', '.join(value)}")
    if argument in NAMES:
        say(f"{argument} = {value}")
        return
    of_batch = argument.partition("[")[0].strip() in ("inputs", "targets", "mask")
    name = f"{argument} of step {state.here.index + 1}" if of_batch else argument
    with np.printoptions(precision=4, threshold=64, linewidth=96):
        say(f"{name}  shape {np.shape(value)}\n{np.asarray(value)}")


INSPECT = (
    Action(("tokens", "t"), "[ROWS]", "the batch as text and ids, each with its loss", _tokens),
    Action(("surprised", "s"), "[N]", "the targets with the highest losses", _surprised),
    Action(("norms",), "", "gradient, update, weight norms and their ratio", _norms),
    Action(("gradients", "g"), "", "pause between gradient and update: the gradients", _gradients),
    Action(("update", "u"), "", "the same place: what the update would add", _update),
    Action(("gates",), "[TEXT] [FILE.png]", "i f g o c h per token; pictures with a file", _gates),
    Action(("prompt",), "TEXT", "what the model wrote after it at a dozen places", _prompt),
    Action(("effect",), "TEXT", "what the next update does to the prediction after it", _effect),
    Action(("diff",), "A B", "two branches, step by step and weight by weight", _diff),
    Action(("print", "p"), "ANYTHING", "loss, rate, embedding[3], gradient head.bias ...", _print),
)
