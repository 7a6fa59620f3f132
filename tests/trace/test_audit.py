"""The audit names the line and the identity of every planted lie, and passes what the writer wrote."""

import json
import random
import re
import tracemalloc

import numpy as np
import pytest

from minilm.errors import MinilmError
from minilm.generation import start
from minilm.records import Reading
from minilm.trace import TraceWriter
from minilm.trace.audit.check import check_trace

STAGES = [
    "",
    "Greedy()",
    "Temperature(1.3) TopK(30) TopP(0.9) MinP(0.01)",
    "RepetitionPenalty(1.2) Frequency(0.3) Typical(0.8)",
    "TopP(0.9) Temperature(0.7) Eta(0.01)",
    "Suppress([40]) Epsilon(0.002) TopH(0.6)",
    "MinNewTokens(4) ForcedEos(3) LengthDecay(2, 1.5)",
]


@pytest.mark.parametrize("stages", STAGES)
def test_what_the_writer_wrote_keeps_every_identity(record, stages):
    for seed in range(3):
        assert list(check_trace(record(stages=stages, seed=seed, watch=[5, 40]))) == []


def edited(path, line, edit):
    """The trace with one line changed by `edit`, a function of the JSON value."""
    rows = path.read_text("utf-8").splitlines()
    value = json.loads(rows[line - 1])
    edit(value)
    rows[line - 1] = json.dumps(value, ensure_ascii=False)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return list(check_trace(path))


def decision(change):
    return lambda line: change(line["decision"])


def change_chosen(name, by):
    """A field of the chosen token, in both places that have it."""

    def change(d):
        for c in [d["chosen"], *(c for c in d["candidates"] if c["id"] == d["chosen"]["id"])]:
            c[name] += by

    return decision(change)


def removed(candidate, stage):
    candidate["removed_by"] = {"stage": stage, "why": "rank 31 > 30"}


def change_chosen_removal(line):
    d = line["decision"]
    for c in [d["chosen"], *(c for c in d["candidates"] if c["id"] == d["chosen"]["id"])]:
        removed(c, "TopK(30)")


def shifted_draw(line):
    """A draw a hair off, within its interval, and its margin with it."""
    d = line["decision"]
    d["u"] += 1e-9
    d["margin"] = min(d["u"] - d["interval"][0], d["interval"][1] - d["u"])


LIES = {
    "log-probabilities add up": decision(
        lambda d: d["stages"][0].update(chosen=d["stages"][0]["chosen"] + 2e-6)
    ),
    "KL of a truncation": decision(
        lambda d: d["stages"][1].update(mass_kept=d["stages"][1]["mass_kept"] * 0.99)
    ),
    "probabilities": change_chosen("p_model", 1e-4),
    "the choice": decision(lambda d: d.update(u=d["interval"][1])),
    "the ledger's ends": decision(lambda d: d.update(survivors=d["survivors"] + 1)),
    "join": lambda line: line.update(offset=line["offset"] + 1),
    "strict JSON": lambda line: line.update(index="4"),
}


@pytest.mark.parametrize("identity", LIES)
def test_a_lie_is_named_with_its_line_and_identity(record, identity):
    found = edited(record(), 6, LIES[identity])
    assert found
    assert (found[0].line, found[0].identity) == (6, identity)
    assert str(found[0]).startswith(f"line 6: {identity}: ")


@pytest.mark.parametrize(
    ("line", "edit", "words"),
    [
        (6, decision(lambda d: d.update(margin=d["margin"] + 1e-5)), "margin"),
        (6, decision(lambda d: d.update(u=d["interval"][1], margin=0.0)), "outside"),
        (6, decision(lambda d: d["interval"].reverse()), "interval|outside"),
        (6, decision(lambda d: d["final"].update(entropy=d["final"]["entropy"] + 1e-5)), "final entropy"),
        (6, decision(lambda d: d["stages"][0].update(entropy=6.0)), r"above ln\(260 survivors\)"),
        (6, decision(lambda d: d["candidates"].reverse()), "ranks do not rise"),
        (6, decision(lambda d: d["chosen"].update(rank=d["chosen"]["rank"] + 1)), "not among the candidates"),
        (6, decision(lambda d: d["candidates"][0].update(p_model=1.0)), "adds up to|e\\^logp"),
        (6, change_chosen("p_final", -1e-5), "wide"),
        (6, lambda line: line.update(index=9), "index is 9, 3 follows"),
        (6, lambda line: line.update(position=9), "position is 9"),
        (6, lambda line: line.update(id=9), "id is 9"),
        (6, lambda line: line.update(new_text=line["new_text"] + "x"), "text of the end|offset"),
        (6, lambda line: line.update(finish="eos"), "a step follows one that ended"),
        (3, lambda line: line.update(id=9), "the prompt ends with"),
        (6, decision(lambda d: d.update(forced=True)), "was forced, though"),
        (6, decision(lambda d: d.update(u=None)), "nothing was drawn, though the margin"),
        (6, decision(lambda d: d["candidates"][3].update(id=d["candidates"][4]["id"])), "twice"),
        (6, decision(lambda d: d["candidates"][3].update(logit=None)), "logit -inf"),
        (6, decision(lambda d: d["candidates"][3].update(logp_model=1e6)), "e\\^logp_model 2.718"),
        (6, decision(lambda d: d["candidates"][3].update(logit=0.9)), "below the first candidate's"),
        (6, decision(lambda d: d["candidates"][3].update(p_tempered=0.02)), "its logit over T"),
        (6, change_chosen("p_tempered", 1e-5), "the ledger leads to"),
        (6, decision(lambda d: d["candidates"][3].update(p_final=0.05)), "over the mass kept"),
        (6, decision(lambda d: removed(d["candidates"][3], "TopK(30)")), "though its p_final is"),
        (6, decision(lambda d: removed(d["candidates"][3], "TopK(2)")), "no stage of this step"),
        (6, change_chosen_removal, "lost at no stage of the ledger, removed by TopK"),
        (6, decision(lambda d: d["stages"][0].update(chosen=None)), "lost at Temperature"),
        (6, decision(lambda d: d["raw"].update(k_used=9)), "raw k_used is 9"),
        (6, decision(lambda d: d["raw"].update(mass_used=0.01)), "the 64 best tokens hold"),
        (6, decision(lambda d: d["raw"].update(entropy=1.0)), "best tokens alone make"),
        (6, decision(lambda d: d["final"].update(k_used=2)), "final k_used is 2 of"),
        (6, decision(lambda d: d["final"].update(mass_used=0.94)), "though they hold 0.94"),
        (6, decision(lambda d: d["stages"][1].update(survivors=5)), "survivors, 5 before it"),
        (6, decision(lambda d: d["stages"][1].update(survivors=260)), "removed nothing, though"),
        (6, decision(lambda d: d["stages"][1].update(entropy=2.5)), "TopP.*entropy 2.5 before it"),
        (6, lambda line: line["embedding"].update(norm=line["embedding"]["norm"] + 1e-3), "the norm is"),
        (6, lambda line: line["embedding"].update(shape=[4, 4]), "the shape is"),
        (
            6,
            lambda line: line["embedding"].update(cosine=line["embedding"]["cosine"] + 1e-3),
            "the cosine is",
        ),
        (6, lambda line: line["embedding"].update(cosine=None), "the cosine is None"),
        (6, lambda line: line.update(text="other"), "text is 'other'"),
        (6, lambda line: line.update(bytes="41"), "bytes is b'A'"),
        (6, decision(lambda d: [c.update(text="other") for c in d["candidates"]]), "is 'other' .* here"),
        (6, decision(lambda d: d["candidates"][3].update(bytes="ffff")), "ffff here"),
        (6, shifted_draw, "seed, position and branch give"),
        (6, lambda line: line.update(branch=1), "seed, position and branch give"),
        (6, decision(lambda d: d["candidates"][-1].update(rank=300)), "beyond the 260 tokens"),
        (6, decision(lambda d: d["candidates"].pop(2)), "the 10 best were asked for"),
        (6, decision(lambda d: d["candidates"][9].update(rank=11)), "the 10 best were asked for"),
        (6, lambda line: line.update(finish="length"), "finish is length at token 4, the limit is 8"),
        (10, lambda line: line.update(finish=None), "finish is None at token 8, the limit is 8"),
        (10, lambda line: line.update(finish="eos"), "is not one of those that end a text"),
        (3, lambda line: line.update(position=9), "a prompt of 4 ids ends at 3"),
        (3, lambda line: line.update(offset=9), "before anything was generated"),
        (3, lambda line: line["embedding"].update(cosine=None), "after a prompt of 4 ids"),
        (2, lambda line: line["vocabulary"]["bytes"].pop(), "lists 259 tokens"),
        (1, lambda line: line["start"].update(seed=1), "seed, position and branch give"),
        (11, lambda line: line["end"].update(text="other"), "text of the end"),
        (11, lambda line: line["end"]["ids"].append(4), "ids of the end"),
        (11, lambda line: line["end"].update(steps=3), "steps of the end"),
        (11, lambda line: line["end"].update(finish="eos"), "finish of the end"),
    ],
)
def test_every_number_is_checked_against_others(record, line, edit, words):
    found = edited(record(), line, edit)
    assert any(re.search(words, v.what) for v in found), found


def test_a_watched_token_is_audited_like_the_chosen_one(record):
    path = record(watch=[5, 40], stages="Temperature(0.9) TopP(0.99999)")
    edit = decision(lambda d: d["stages"][0]["watched"].update({"5": d["stages"][0]["watched"]["5"] + 1e-5}))
    assert [v.identity for v in edited(path, 6, edit)][:1] == ["log-probabilities add up"]


def test_cut_short_swapped_or_not_json_is_named(record):
    rows = record().read_text("utf-8").splitlines(keepends=True)
    path = record()
    for lines, identity, where in [
        (rows[:-1], "join", len(rows) - 1),
        ([*rows[:-1], rows[-1][:9]], "strict JSON", len(rows)),
        ([*rows[:4], rows[5], rows[4], *rows[6:]], "join", 5),
        (rows[1:], "order", 1),
        ([rows[0], *rows], "order", 2),
        ([*rows, rows[5]], "order", len(rows) + 1),
        ([*rows[:3], "NaN\n", *rows[3:]], "strict JSON", 4),
        ([], "join", 0),
    ]:
        path.write_text("".join(lines), encoding="utf-8")
        first = next(check_trace(path))
        assert (first.identity, first.line) == (identity, where)


def test_200_numbers_changed_by_a_thousandth_are_found(record):
    """Every number of the ledger, the candidates and the draw is bound by some identity, or is listed."""
    free = {"entropy", "cut"}
    dice, path = random.Random(0), record()
    original = path.read_text("utf-8")
    missed = []
    for _ in range(200):
        path.write_text(original, encoding="utf-8")
        line = json.loads(original.splitlines()[dice.randrange(3, 10) - 1])
        kind = dice.choice(["stages", "candidates", "u"])
        if kind == "u":
            key, place = dice.choice(["u", "margin"]), ()
        else:
            number = 0 if kind == "candidates" else dice.randrange(3)
            row = line["decision"][kind][number]
            key = dice.choice([k for k, v in row.items() if isinstance(v, float) and k not in free])
            place = (kind, number)

        def edit(value, place=place, key=key):
            holder = value["decision"]
            for part in place:
                holder = holder[part]
            holder[key] = holder[key] * 0.999 - 0.001 * (holder[key] == 0)

        found = edited(path, line["index"] + 3, edit)
        if not found:
            missed.append((place, key))
    assert missed == []


def test_a_missing_file_is_an_error_and_no_violation(tmp_path):
    with pytest.raises(MinilmError, match="cannot be read"):
        list(check_trace(tmp_path / "none"))


class Fixed:
    """A model of given logits, whatever it reads."""

    name, context_size, embedding_size = "fixed", None, 2

    def __init__(self, logits):
        self.logits, self.vocab_size = np.array([logits], np.float32), len(logits)

    def read(self, ids, state=None, *, rows="last", inner=()):
        return Reading(self.logits, np.zeros((len(ids), 2), np.float32), 0)


@pytest.mark.parametrize(
    "logits",
    [
        [0.0] * 4,
        [-np.inf, 1.0, -np.inf, -np.inf],
        [0.0, -740.0, -800.0, 1.0],
        [1e30, -1e30, 0.0, 5.0],
        [*np.linspace(3, -700, 259), -np.inf],
    ],
)
@pytest.mark.parametrize(
    "stages",
    ["", "Greedy()", "Temperature(0.1) TopP(0.5)", "RepetitionPenalty(0.5)", "Typical(0.3) MinP(0.2)"],
)
def test_the_odd_distributions_of_an_honest_run_pass(tmp_path, codec, logits, stages):
    """Null embeddings, probabilities below the smallest float, -inf, four tokens, forced and removed ones."""
    path = tmp_path / "odd.jsonl"
    cursor = start(Fixed(logits), codec, [1], stages, max_tokens=5, top=3, watch=[0, 2])
    with path.open("w", encoding="utf-8") as file, TraceWriter(file, cursor) as trace:
        for force in (None, 1, 2, 0, None):
            trace.step(cursor.peek(force))
            cursor = cursor.after(1)
    names = {violation.identity for violation in check_trace(path)}
    assert names <= {"join"}  # every step goes on with token 1, whatever was chosen


def test_a_long_trace_is_checked_line_by_line(record):
    """The audit keeps a line and the ids in memory, not the file."""
    path = record()
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([rows[0], rows[1], *rows[2:10] * 150]))
    list(check_trace(path))
    tracemalloc.start()
    for _ in check_trace(path):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 4
