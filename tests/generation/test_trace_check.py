"""The audit names the line and the identity of every planted lie, and passes what the writer wrote."""

import json
import random
import re

import pytest

from minilm.errors import MinilmError
from minilm.generation.trace_check import check_trace

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
    """The chosen token's field, in both places where it stands."""

    def change(d):
        for c in [d["chosen"], *(c for c in d["candidates"] if c["id"] == d["chosen"]["id"])]:
            c[name] += by

    return decision(change)


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
        (11, lambda line: line["end"].update(text="other"), "text of the end"),
        (11, lambda line: line["end"]["ids"].append(4), "ids of the end"),
        (11, lambda line: line["end"].update(steps=3), "steps of the end"),
        (11, lambda line: line["end"].update(finish="eos"), "finish of the end"),
    ],
)
def test_every_number_owes_something_to_the_others(record, line, edit, words):
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
    free = {
        "logit",
        "p_tempered",
        "k_used",
        "mass_used",
        "norm",
        "cosine",
        "vector",
        "shape",
        "entropy",
        "rank",
        "cut",
    }
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
        if not found and not (key == "mass_kept" and place[1] == 0):
            missed.append((place, key))
    assert set(missed) <= {(("candidates", 0), "p_final"), ((), "u")}, missed
    assert len(missed) < 40


def test_a_missing_file_is_an_error_and_no_violation(tmp_path):
    with pytest.raises(MinilmError, match="cannot be read"):
        list(check_trace(tmp_path / "none"))
