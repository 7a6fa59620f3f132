"""Mistakes that show without a changed reference: random numbers, a state that is kept, half precision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minilm.comparison.student import case
from minilm.comparison.student.contract import Answers
from minilm.comparison.student.guesses import Guess
from minilm.comparison.student.reference_cell import run_cell
from minilm.difference import measure_difference
from minilm.records import Array

__all__ = ["Randomness", "find_half_precision", "find_randomness"]


@dataclass(frozen=True)
class Randomness:
    """Why two runs with the same input differ.

    Attributes:
        guess: the mistake.
        where: the run that differs from the first one.
    """

    guess: Guess
    where: str


def find_randomness(answers: Answers, tolerance: float) -> tuple[Randomness, dict[str, Array]] | None:
    """Return why a second run differs from the first one, and its numbers; None where they are equal.

    Args:
        answers: the answers of one function.
        tolerance: the largest difference that counts as equal.
    """
    usual = answers.cases[case.USUAL.name]
    if not _are_equal(answers.again, usual, tolerance):
        row = {name: array[:1] for name, array in answers.again.items()}
        if _are_equal(row, _continue_from_the_end(), tolerance):
            guess = Guess("the state of the last call is kept", "start every call with h and c at 0", {})
        else:
            guess = Guess(
                "two runs with the same input differ, so something is random",
                "switch dropout off (net.eval(), training=False), and draw no numbers in the step",
                {},
            )
        return Randomness(guess, "of the second run from the first"), answers.again
    if answers.remade and not _are_equal(answers.remade, usual, tolerance):
        names = ", ".join(answers.random)
        left = names or "a part of it"
        guess = Guess(
            f"two of them, made from the same weights, differ: {left} is left at random values",
            f"copy the given weights into {left}, or set it to 0",
            {},
        )
        return Randomness(guess, "of the second one made from the first"), answers.remade
    return None


def _are_equal(one: Mapping[str, Array], other: Mapping[str, Array], tolerance: float) -> bool:
    shared = one.keys() & other.keys()
    # NaN in both is no randomness.
    pairs = ((np.nan_to_num(one[name]), np.nan_to_num(other[name])) for name in shared)
    return bool(shared) and all(measure_difference(a, b).scaled <= tolerance for a, b in pairs)


def _continue_from_the_end() -> dict[str, Array]:
    """Return what the reference computes on the first usual row when its state is that of the row's end."""
    inputs = case.make_inputs()[:1]
    steps = inputs.shape[1]
    found = run_cell(np.concatenate([inputs, inputs], axis=1), case.make_layer())
    arrays = case.make_case_weights()
    shown = {name: found[name][:, steps:] for name in ("cell", "hidden")}
    return shown | {"logits": shown["hidden"] @ arrays["head.kernel"] + arrays["head.bias"]}


def find_half_precision(answer: Mapping[str, Array], reference: Mapping[str, Array]) -> Guess | None:
    """Return a guess where all numbers of an answer fit into 16 bits and the answer is nearly right.

    Args:
        answer: arrays by name.
        reference: the same of the reference.
    """
    arrays = [answer[name] for name in ("cell", "hidden", "logits") if name in answer]
    near = all(
        measure_difference(answer[name], reference[name]).scaled < 0.1
        for name in ("cell", "hidden", "logits")
        if name in answer
    )
    if not near:
        return None
    for name, fits in (("float16", _fits_float16), ("bfloat16", _fits_bfloat16)):
        if all(fits(array) for array in arrays):
            return Guess(f"its numbers are {name}", "compute in float32 or float64", {})
    return None


def _fits_float16(array: Array) -> bool:
    return bool((array == array.astype(np.float16)).all())


def _fits_bfloat16(array: Array) -> bool:
    # bfloat16 is float32 without its last 16 bits.
    bits = array.astype(np.float32).view(np.uint32)
    return bool((array == array.astype(np.float32)).all() and (bits & 0xFFFF == 0).all())
