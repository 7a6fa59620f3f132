"""Measure how near a decision was to another one: at each cut, at the ends of the interval, in one number.

A step is fragile if tiny changes of the logits choose another token. For most steps the tokens next to their
cuts show that it is not (`can_be_fragile`); only the others are run again on changed logits (`can_flip`). The
smallest changes that choose another token (`find_margins`) need hundreds of runs of the stages, so they are
found on request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from minilm.errors import MinilmError
from minilm.frozen import one_line
from minilm.numerics import log_odds
from minilm.records import Array
from minilm.sampling.ledger import Ledger, choose_token, find_survivors, is_drawn
from minilm.sampling.parameters import get_number, set_number
from minilm.sampling.scores import Context, Scores, float32, largest
from minilm.sampling.stage import Stage, run_stages

__all__ = [
    "WOBBLE",
    "Change",
    "Cut",
    "Margins",
    "Truncation",
    "can_be_fragile",
    "can_flip",
    "find_cut",
    "find_margins",
    "find_smallest_change",
    "find_truncations",
]

WOBBLE = 1e-5
"""Nats that the logits of two frameworks may differ by."""

# Wobbles from a cut, or from an end of the interval, within which a step may be fragile: two scores move by
# one wobble each, and the third covers rounding.
_REACH = 3.0

# Nats up to which a change is searched; a factor of 5e8 in probability.
_MOST = 20.0

# Tokens tried on each side of the chosen one, and at each cut.
_LIKELIEST = 3

# Scores this near (nats) may change places in a wobble.
_EQUAL = 3e-5

# The most steps of a bisection; float32 scores end it earlier.
_STEPS = 48


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change found of one number, and the token that would be chosen then.

    Attributes:
        token: The id whose logit changes by `by` nats; None for the temperature, which changes by `by`.
        by: The change, with its sign.
        chosen: The id that would be chosen.
    """

    token: int | None
    by: float
    chosen: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The smallest change of one score after which a truncation keeps other tokens.

    Attributes:
        stage: The stage as text.
        token: The id whose score changes.
        by: The change, in nats.
    """

    stage: str
    token: int
    by: float


@dataclass(frozen=True, slots=True)
class Margins:
    """The smallest changes after which another token is chosen.

    Attributes:
        cuts: One for each stage whose kept tokens change if one score changes by at most 20 nats.
        logit: The smallest change of one logit that chooses another token; None above 20 nats.
        temperature: The smallest change of the temperature that does; None above a factor of 20.
        fragile: Whether changes of 1e-5 in every logit can choose another token.
    """

    cuts: tuple[Cut, ...]
    logit: Change | None
    temperature: Change | None
    fragile: bool


@dataclass(frozen=True, slots=True, eq=False)
class Truncation:
    """One truncation within a pipeline.

    Attributes:
        stage: The stage that removes tokens.
        before: The scores that it was given.
        after: The scores that it left.
    """

    stage: Stage
    before: Scores
    after: Scores

    __repr__ = one_line

    @property
    def worst(self) -> int:
        """The id of the lowest score that was kept."""
        return int(self.after.ids[np.argmin(self.after.values)])

    @property
    def outermost(self) -> list[int]:
        """The ids of the lowest and the highest score that were kept, and of scores almost equal to those."""
        ids, values = self.after.ids, self.after.values
        low = _find_lowest(values, _LIKELIEST)
        # Reversed, so that the highest id comes first among equals.
        high = values.size - 1 - _find_lowest(-values[::-1], _LIKELIEST)
        near = [low[values[low] <= values[low[0]] + _EQUAL], high[values[high] >= values[high[0]] - _EQUAL]]
        return list(dict.fromkeys(ids[np.concatenate(near)].tolist()))

    @property
    def edge(self) -> list[int]:
        """The ids nearest to the cut: the lowest and the highest kept, and the highest removed."""
        gone = ~np.isin(self.before.ids, self.after.ids)
        ids, values = self.before.ids[gone], self.before.values[gone]
        highest = ids[np.argsort(-values, kind="stable")[:_LIKELIEST]].tolist()
        return [self.worst, int(self.after.ids[np.argmax(self.after.values)]), *highest]


def find_truncations(scores: Iterable[Scores], stages: Sequence[Stage]) -> Iterator[Truncation]:
    """Yield every truncation of a pipeline.

    Args:
        scores: The scores of a run: the model's own, and those that each stage left.
        stages: The stages of the run.
    """
    for stage, (before, after) in zip(stages, pairwise(scores), strict=True):
        if stage.truncates:
            yield Truncation(stage, before, after)


def can_flip(
    logits: Array,
    context: Context,
    stages: Sequence[Stage],
    u: float | None,
    chosen: int,
    truncations: Iterable[Truncation],
    wobble: float = WOBBLE,
) -> bool:
    """Return whether another token is chosen after one of the changes that matter most.

    Tried are the changes that move each end of the interval, and each cut, the furthest, and those in which
    one of the outermost survivors of a cut stays or goes alone.

    Args:
        logits: (V,) float32, as the model gave them.
        context: Where the token is chosen.
        stages: The stages, in order.
        u: The draw; None to take the best survivor.
        chosen: The id that was chosen from the logits as they are.
        truncations: Those of the run that chose it.
        wobble: Nats by which every logit changes, up or down.
    """
    lower, higher = logits - np.float32(wobble), logits + np.float32(wobble)
    changed = (np.where(up, higher, lower) for up in _find_risers(logits.size, chosen, truncations))
    return any(_is_flipped(scores, context, stages, u, chosen) for scores in changed)


def _is_flipped(
    logits: Array, context: Context, stages: Sequence[Stage], u: float | None, chosen: int
) -> bool:
    """Return whether another token is chosen; False where the changed numbers overflow or leave nothing."""
    try:
        return not is_drawn(find_survivors(logits, context, stages), u, chosen)
    except MinilmError:
        return False


def _find_risers(vocab_size: int, chosen: int, truncations: Iterable[Truncation]) -> Iterator[Array]:
    """Yield which logits (V,) rise in each change that is tried; the others fall."""
    ids = np.arange(vocab_size)
    # These move the two ends of the interval the furthest.
    yield ids < chosen
    yield ids > chosen
    for truncation in truncations:
        kept = np.zeros(vocab_size, bool)
        kept[truncation.after.ids] = True
        yield ~kept
        outermost = truncation.outermost
        yield from (kept & (ids != token) for token in outermost)
        # More than two: some are equal, so each of them may be the one that stays.
        if len(outermost) > 2:
            yield from (ids == token for token in outermost)


def can_be_fragile(ledger: Ledger, u: float | None, chosen: int, interval: tuple[float, float]) -> bool:
    """Return False where no change of WOBBLE in every logit can choose another token.

    It reads the ends of the draw's interval and the neighbours of each cut, and runs no stage. True means
    that this is not enough to know, so the changes must be tried.

    Args:
        ledger: The run of the stages.
        u: The draw; None where the best survivor was taken.
        chosen: The id that was chosen.
        interval: The ends [low, high) of its interval.
    """
    reach, near = _REACH * WOBBLE, False
    for stage, point in zip(ledger.stages, ledger.points[1:], strict=True):
        if near:
            # The stages behind a near cut may be given other survivors.
            return True
        reach *= stage.gain(ledger.context)
        cut = point.scores.cut
        near = cut is not None and cut < reach
    if ledger.survivors.ids.size == 1 or u is None:
        return near or ledger.survivors.ids.size > 1
    if not near and min(u - interval[0], interval[1] - u) >= reach:
        return False
    reach += 2 * _find_rounding(ledger)
    contested = _find_contested(ledger, reach) if near else ledger.survivors.ids[:0]
    if contested is None or chosen in contested:
        return True
    return not _is_safe(ledger, contested, u, chosen, interval, reach)


def _find_rounding(ledger: Ledger) -> float:
    """Return how much float32 may have rounded off a final score, from the size of the scores."""
    rounding = 0.0
    for n, point in enumerate(ledger.points):
        if n:
            rounding *= ledger.stages[n - 1].gain(ledger.context)
        values = point.scores.values
        rounding += float(np.spacing(np.maximum(largest(values), -values[values.argmin()])))
    return rounding


def _find_contested(ledger: Ledger, reach: float) -> Array | None:
    """Return the ids that may change places at the last cut; None where their number may change."""
    before, after = ledger.points[-2:]
    mass_kept = math.exp(after.lse - before.lse)
    return ledger.stages[-1].find_contested(before.scores, after.scores, mass_kept, reach)


def _is_safe(
    ledger: Ledger, contested: Array, u: float, chosen: int, interval: tuple[float, float], reach: float
) -> bool:
    """Return whether u stays in the interval of the chosen token, whichever contested tokens are kept.

    As many of them are kept as now. An end of the interval divides the mass into a part below and a part
    above. The lower end is highest where most contested tokens, and the heaviest, are below it; the upper end
    is lowest where fewest, and the lightest, are. Beyond that, moving scores move ln(below / above) by less
    than `reach`, and u is in the interval while ln(u / (1 - u)) is between those of the two ends.
    """
    final = ledger.points[-1]
    ids = final.scores.ids
    place = np.minimum(ids.searchsorted(contested), ids.size - 1)
    kept = place[ids[place] == contested]
    p = np.exp(final.scores.values[kept].astype(np.float64) - final.lse)
    light, heavy = (float(p.min()) * math.exp(-reach), float(p.max()) * math.exp(reach)) if p.size else (0, 0)
    number_below = int(np.count_nonzero(contested < chosen))
    fewest, most = max(0, p.size - (contested.size - number_below)), min(p.size, number_below)
    p_below = float(p[ids[kept] < chosen].sum())
    p_above = float(p.sum()) - p_below
    low, high = interval
    highest_low = _log_ratio(low - p_below + most * heavy, 1 - low - p_above + (p.size - most) * light)
    lowest_high = _log_ratio(high - p_below + fewest * light, 1 - high - p_above + (p.size - fewest) * heavy)
    return highest_low + reach <= log_odds(u) <= lowest_high - reach


def _log_ratio(below: float, above: float) -> float:
    # Less than this is the rounding of a mass that is 0.
    if below <= 1e-15:
        return -math.inf
    return math.inf if above <= 1e-15 else math.log(below / above)


def find_margins(logits: Array, context: Context, stages: Sequence[Stage], u: float | None) -> Margins:
    """Return how near the decision of these logits (V,), stages and draw was to another one.

    Changed are, one at a time, the logits of the likeliest tokens on both sides of the chosen one and at each
    cut, where a change moves the draw's interval most; and the temperature.
    """
    logits = float32(logits)
    chosen = choose_token(logits, context, stages, u)
    truncations = list(find_truncations(run_stages(logits, context, stages), stages))
    return Margins(
        tuple(cut for truncation in truncations if (cut := find_cut(truncation, context)) is not None),
        _find_logit_change(logits, context, stages, u, chosen, truncations),
        _find_temperature_change(logits, context, stages, u, chosen),
        can_flip(logits, context, stages, u, chosen, truncations),
    )


def _find_logit_change(
    logits: Array,
    context: Context,
    stages: Sequence[Stage],
    u: float | None,
    chosen: int,
    truncations: Sequence[Truncation],
) -> Change | None:
    def choose_after(token: int, by: float) -> int | None:
        changed = logits.copy()
        changed[token] += np.float32(by)
        return _try_to_choose(changed, context, stages, u)

    best: Change | None = None
    for token in _find_movers(logits, context, stages, chosen, truncations):
        for sign in (-1, 1):
            most = abs(best.by) if best else _MOST
            by = find_smallest_change(
                lambda x, t=token, s=sign: choose_after(t, s * x) not in (chosen, None), most
            )
            new = None if by is None else choose_after(token, sign * by)
            if by is not None and new is not None:
                best = Change(token, sign * by, new)
    return best


def _find_movers(
    logits: Array, context: Context, stages: Sequence[Stage], chosen: int, truncations: Sequence[Truncation]
) -> list[int]:
    """Return the chosen id, the likeliest survivors on both sides of it, and the ids at the cuts."""
    scores = find_survivors(logits, context, stages)
    order = scores.ids[np.argsort(-scores.values, kind="stable")]
    sides = [order[order < chosen][:_LIKELIEST], order[order > chosen][:_LIKELIEST]]
    near = [token for truncation in truncations for token in truncation.edge]
    best = np.argsort(-logits, kind="stable")[:_LIKELIEST]
    return list(dict.fromkeys([chosen, *np.concatenate([*sides, best]).tolist(), *near]))


def _find_temperature_change(
    logits: Array, context: Context, stages: Sequence[Stage], u: float | None, chosen: int
) -> Change | None:
    here = get_number(stages, "Temperature") or 1.0

    def choose_after(log: float) -> int | None:
        changed = set_number(stages, "Temperature", here * math.exp(log))
        return _try_to_choose(logits, context, changed, u)

    found: list[Change] = []
    for sign in (-1, 1):
        log = find_smallest_change(
            lambda x, s=sign: choose_after(s * x) not in (chosen, None), math.log(_MOST)
        )
        new = None if log is None else choose_after(sign * log)
        if log is not None and new is not None:
            found.append(Change(None, here * math.exp(sign * log) - here, new))
    return min(found, key=lambda change: abs(change.by), default=None)


def _try_to_choose(logits: Array, context: Context, stages: Sequence[Stage], u: float | None) -> int | None:
    """Return the token chosen; None where the changed numbers overflow or leave nothing."""
    try:
        return choose_token(logits, context, stages, u)
    except MinilmError:
        return None


def find_cut(truncation: Truncation, context: Context) -> Cut | None:
    """Return the smallest change of one score near the cut after which other tokens are kept, or None."""

    def keeps_others(token: int, by: float) -> bool:
        values = truncation.before.values.copy()
        values[np.searchsorted(truncation.before.ids, token)] += np.float32(by)
        kept = truncation.stage(Scores(truncation.before.ids, values), context).ids
        return not np.array_equal(kept, truncation.after.ids)

    best: Cut | None = None
    for token in dict.fromkeys(truncation.edge):
        for sign in (1, -1):
            most = abs(best.by) if best else _MOST
            by = find_smallest_change(lambda x, t=token, s=sign: keeps_others(t, s * x), most)
            if by is not None:
                best = Cut(truncation.stage.label, token, sign * by)
    return best


def find_smallest_change(flips: Callable[[float], bool], most: float) -> float | None:
    """Return the least x in (0, most] at which flips(x) becomes true, or None.

    It makes x four times as large until flips(x) is true, and then halves the distance (bisection).
    """
    low, high = 0.0, 1e-7
    while high < most and not flips(high):
        low, high = high, 4 * high
    high = min(high, most)
    if not flips(high) or high == low:
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if flips(middle) else (middle, high)
        if high - low <= 1e-9 * high:
            break
    return high


def _find_lowest(values: Array, n: int) -> Array:
    """Return the places of the n lowest values (S,), lowest first, the lower place first among equals."""
    if values.size > n:
        some = np.flatnonzero(values <= np.partition(values, n - 1)[n - 1])
    else:
        some = np.arange(values.size)
    return some[values[some].argsort(kind="stable")][:n]
