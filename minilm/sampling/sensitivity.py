"""How near a decision was: to the end of its interval, to each cut, and to another token altogether.

Everything is found by running the pipeline again on changed logits, so it holds for any stages. It costs
hundreds of runs, so it is worked out on request; a step itself carries its cuts, and whether it is fragile.
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
from minilm.sampling.ledger import Ledger, Point, is_drawn
from minilm.sampling.parameters import choose, setting, survivors, turned
from minilm.sampling.scores import Context, Scores, float32, largest
from minilm.sampling.stage import Stage, run

__all__ = [
    "LIKELIEST",
    "MOST",
    "REACH",
    "WOBBLE",
    "Change",
    "Cut",
    "Margins",
    "Truncation",
    "between",
    "can_be_fragile",
    "can_flip",
    "is_fragile",
    "margins",
    "nearest",
    "smallest",
    "truncations",
]

WOBBLE = 1e-5
"""Nats that the logits of two frameworks may differ by."""

REACH = 3.0
"""Wobbles from a cut, or from the end of its interval, within which a step may be fragile: two scores move by
one each, and are rounded."""


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change found of one number, and the token that would have been taken then.

    token: whose logit changes, by `by` nats; None for the temperature, which changes by `by`.
    """

    token: int | None
    by: float
    chosen: int


@dataclass(frozen=True, slots=True)
class Margins:
    """How near one decision was to another one.

    cuts: of the stages whose kept set one logit can change within 20 nats; logit, temperature: the
    smallest changes that choose another token, None where there is none within 20 nats and within a
    factor of 20; fragile: whether changes of 1e-5 in every logit can choose another token.
    """

    cuts: tuple[Cut, ...]
    logit: Change | None
    temperature: Change | None
    fragile: bool


def margins(logits: Array, context: Context, stages: Sequence[Stage], u: float | None) -> Margins:
    """The margins of the decision that these logits (V,), stages and draw make.

    A logit is looked for among the likeliest tokens on both sides of the chosen one and at each cut,
    where a change moves the draw's interval most.
    """
    logits = float32(logits)
    chosen = choose(logits, context, stages, u)
    runs = list(truncations(logits, context, stages))
    return Margins(
        tuple(cut for run in runs if (cut := nearest(run, context)) is not None),
        _logit(logits, context, stages, u, chosen, runs),
        _temperature(logits, context, stages, u, chosen),
        can_flip(logits, context, stages, u, chosen, runs),
    )


def is_fragile(
    logits: Array, context: Context, stages: Sequence[Stage], u: float | None, wobble: float = WOBBLE
) -> bool:
    """Whether some change of at most `wobble` in every logit (V,) chooses another token."""
    logits = float32(logits)
    chosen = choose(logits, context, stages, u)
    return can_flip(logits, context, stages, u, chosen, truncations(logits, context, stages), wobble)


def can_flip(
    logits: Array,
    context: Context,
    stages: Sequence[Stage],
    u: float | None,
    chosen: int,
    runs: Iterable[Truncation],
    wobble: float = WOBBLE,
) -> bool:
    """The same where the chosen token and the truncations are known.

    The changes tried are those that move each end of the interval, and each cut, the furthest,
    and those in which one of the outermost survivors of a cut stays or goes alone.
    """
    lower, higher = logits - np.float32(wobble), logits + np.float32(wobble)
    changed = (np.where(up, higher, lower) for up in _ups(logits.size, chosen, runs))
    return any(_is_flipped(scores, context, stages, u, chosen) for scores in changed)


def _is_flipped(
    logits: Array, context: Context, stages: Sequence[Stage], u: float | None, chosen: int
) -> bool:
    """Return whether another token is taken; False where the changed numbers overflow or leave nothing."""
    try:
        return not is_drawn(survivors(logits, context, stages), u, chosen)
    except MinilmError:
        return False


def can_be_fragile(ledger: Ledger, u: float | None, chosen: int, interval: tuple[float, float]) -> bool:
    """Return False where no change of WOBBLE in every logit can choose another token.

    It looks only at the ends of the draw's interval and at the neighbours of each cut, so that most steps
    need no run on changed logits. True means: not known, so try.
    """
    reach, near = REACH * WOBBLE, False
    for stage, point in zip(ledger.stages, ledger.points[1:], strict=True):
        if near:
            # A stage after a cut that is near may be given other survivors.
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
    return not _is_safe(ledger.points[-1], contested, u, chosen, interval, reach)


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
    before, after = ledger.points[-2:]
    mass_kept = math.exp(after.lse - before.lse)
    return ledger.stages[-1].find_contested(before.scores, after.scores, mass_kept, reach)


def _is_safe(
    final: Point, contested: Array, u: float, chosen: int, interval: tuple[float, float], reach: float
) -> bool:
    """Return whether u stays inside the chosen token's interval, whichever contested tokens are kept.

    As many of them are kept as now. Each end of the interval divides the mass into a part below and a part
    above it. The end is lowest where the fewest and lightest contested tokens are below it, and changes of
    the scores move the log-odds ln(below / above) by less than reach.
    """
    ids = final.scores.ids
    kept = ids.searchsorted(contested)
    kept[kept == ids.size] = 0
    kept = kept[ids[kept] == contested]
    p = np.exp(final.scores.values[kept].astype(np.float64) - final.lse)
    least, most = (float(p.min()) * math.exp(-reach), float(p.max()) * math.exp(reach)) if p.size else (0, 0)
    below = int(np.count_nonzero(contested < chosen))
    fewest, largest_number = max(0, p.size - (contested.size - below)), min(p.size, below)
    p_below = float(p[ids[kept] < chosen].sum())
    p_above = float(p.sum()) - p_below
    low, high = interval
    # The lower end at its highest, the upper end at its lowest.
    highest = low - p_below + largest_number * most, 1 - low - p_above + (p.size - largest_number) * least
    lowest = high - p_below + fewest * least, 1 - high - p_above + (p.size - fewest) * most
    odds = log_odds(u)
    return _log_ratio(*highest) + reach <= odds <= _log_ratio(*lowest) - reach


def _log_ratio(below: float, above: float) -> float:
    if below <= 1e-15:
        return -math.inf
    return math.inf if above <= 1e-15 else math.log(below / above)


def _ups(vocab_size: int, chosen: int, runs: Iterable[Truncation]) -> Iterator[Array]:
    """Which logits (V,) rise in each change that is tried; the others fall."""
    ids = np.arange(vocab_size)
    yield ids < chosen
    yield ids > chosen
    for cut in runs:
        kept = np.zeros(vocab_size, bool)
        kept[cut.after.ids] = True
        yield ~kept
        outermost = cut.outermost
        yield from (kept & (ids != token) for token in outermost)
        if len(outermost) > 2:  # some are equals, so that each of them may be the one that stays
            yield from (ids == token for token in outermost)


def _logit(
    logits: Array,
    context: Context,
    stages: Sequence[Stage],
    u: float | None,
    chosen: int,
    runs: Sequence[Truncation],
) -> Change | None:
    def after(token: int, by: float) -> int | None:
        changed = logits.copy()
        changed[token] += np.float32(by)
        return _choice(changed, context, stages, u)

    best: Change | None = None
    for token in _movers(logits, context, stages, chosen, runs):
        for sign in (-1, 1):
            most = abs(best.by) if best else MOST
            by = smallest(lambda x, t=token, s=sign: after(t, s * x) not in (chosen, None), most)
            new = None if by is None else after(token, sign * by)
            if by is not None and new is not None:
                best = Change(token, sign * by, new)
    return best


def _movers(
    logits: Array, context: Context, stages: Sequence[Stage], chosen: int, runs: Sequence[Truncation]
) -> list[int]:
    """The chosen token, the likeliest survivors on both sides of it, and those at the cuts."""
    scores = survivors(logits, context, stages)
    order = scores.ids[np.argsort(-scores.values, kind="stable")]
    sides = [order[order < chosen][:LIKELIEST], order[order > chosen][:LIKELIEST]]
    near = [token for run in runs for token in run.edge]
    best = np.argsort(-logits, kind="stable")[:LIKELIEST]
    return list(dict.fromkeys([chosen, *np.concatenate([*sides, best]).tolist(), *near]))


def _temperature(
    logits: Array, context: Context, stages: Sequence[Stage], u: float | None, chosen: int
) -> Change | None:
    here = setting(stages, "Temperature") or 1.0

    def after(log: float) -> int | None:
        return _choice(logits, context, turned(stages, "Temperature", here * math.exp(log)), u)

    found: list[Change] = []
    for sign in (-1, 1):
        log = smallest(lambda x, s=sign: after(s * x) not in (chosen, None), math.log(MOST))
        new = None if log is None else after(sign * log)
        if log is not None and new is not None:
            found.append(Change(None, here * math.exp(sign * log) - here, new))
    return min(found, key=lambda change: abs(change.by), default=None)


def _choice(logits: Array, context: Context, stages: Sequence[Stage], u: float | None) -> int | None:
    """The token taken; None where the changed numbers overflow or leave nothing."""
    try:
        return choose(logits, context, stages, u)
    except MinilmError:
        return None


MOST = 20.0  # nats; a factor of 5e8 in probability

LIKELIEST = 3  # tokens tried on each side of the chosen one, and at each cut

_EQUAL = 3e-5  # nats, so that a wobble may exchange them

_STEPS = 48  # of a bisection; float32 scores end it earlier


@dataclass(frozen=True, slots=True)
class Cut:
    """How near a truncation was to keeping other tokens: the logit of `token`, changed by `by` nats."""

    stage: str
    token: int
    by: float


@dataclass(frozen=True, slots=True, eq=False)
class Truncation:
    """One truncation within a pipeline: the scores before and after it."""

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
        """The ids of the lowest and of the highest score that were kept, and of some as good as those."""
        ids, values = self.after.ids, self.after.values
        low = _lowest(values, LIKELIEST)
        # Reversed, so that the highest id comes first among equals.
        high = values.size - 1 - _lowest(-values[::-1], LIKELIEST)
        near = [low[values[low] <= values[low[0]] + _EQUAL], high[values[high] >= values[high[0]] - _EQUAL]]
        return list(dict.fromkeys(ids[np.concatenate(near)].tolist()))

    @property
    def edge(self) -> list[int]:
        """The ids nearest to the cut: the lowest and highest kept, the highest removed."""
        gone = ~np.isin(self.before.ids, self.after.ids)
        ids, values = self.before.ids[gone], self.before.values[gone]
        highest = ids[np.argsort(-values, kind="stable")[:LIKELIEST]].tolist()
        return [self.worst, int(self.after.ids[np.argmax(self.after.values)]), *highest]


def _lowest(values: Array, n: int) -> Array:
    """Return the places of the n lowest values (S,), lowest first, the lower place first among equals."""
    if values.size > n:
        some = np.flatnonzero(values <= np.partition(values, n - 1)[n - 1])
    else:
        some = np.arange(values.size)
    return some[values[some].argsort(kind="stable")][:n]


def truncations(logits: Array, context: Context, stages: Sequence[Stage]) -> Iterator[Truncation]:
    """Every truncating stage of a pipeline with the scores before and after it, from logits (V,)."""
    return between(run(logits, context, stages), stages)


def between(scores: Iterable[Scores], stages: Sequence[Stage]) -> Iterator[Truncation]:
    """The same from the scores of a run: the model's own, and those that each stage left."""
    for stage, (before, after) in zip(stages, pairwise(scores), strict=True):
        if stage.truncates:
            yield Truncation(stage, before, after)


def nearest(run: Truncation, context: Context) -> Cut | None:
    """The smallest change of one score near the cut after which other tokens are kept."""

    def other(token: int, by: float) -> bool:
        values = run.before.values.copy()
        values[np.searchsorted(run.before.ids, token)] += np.float32(by)
        kept = run.stage(Scores(run.before.ids, values), context).ids
        return not np.array_equal(kept, run.after.ids)

    best: Cut | None = None
    for token in dict.fromkeys(run.edge):
        for sign in (1, -1):
            by = smallest(lambda x, t=token, s=sign: other(t, s * x), abs(best.by) if best else MOST)
            if by is not None:
                best = Cut(run.stage.label, token, sign * by)
    return best


def smallest(flips: Callable[[float], bool], most: float) -> float | None:
    """The least x in (0, most] at which flips(x) turns true, by a ladder of fours and then bisection."""
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
