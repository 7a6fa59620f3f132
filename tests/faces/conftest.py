"""Records for the faces, worked out from a few logits: rendered, never measured."""

import numpy as np
import pytest

from minilm.records import (
    Candidate,
    Decision,
    Distribution,
    Embedding,
    ParameterNorms,
    Removal,
    StageEffect,
    Step,
    TrainStep,
    frozen_array,
)

STORY = [" was", " lived", " is", " had", " came", " stood", " went", " sat", " saw", " ran"]
LOGITS = [5.21, 4.72, 3.29, 2.9, 2.51, 2.0, 1.4, 0.9, 0.1, -0.7]
HOSTILE = [
    "\x1b[31mred",
    "\u202eabc",
    'say "hi"\\',
    "line\nbreak",
    "\ud800",
    "\x07\x08",
    "中文",
    "👩\u200d👩",
    "<b>&",
]


def make_step(
    *, index=2, texts=None, logits=None, k=2, u=0.37, forced=None, watched=(), finish=None, seed=0, **changes
):
    """A Step whose numbers follow from logits, Temperature(0.8) and TopK(k)."""
    texts = STORY if texts is None else texts
    logits = np.array(LOGITS if logits is None else logits, dtype=np.float64)
    order = np.argsort(-logits, kind="stable")
    model, tempered = _softmax(logits), _softmax(logits / 0.8)
    kept = order[:k]
    final = np.zeros_like(model)
    final[kept] = tempered[kept] / tempered[kept].sum()
    high = np.cumsum(final)
    chosen = int(np.searchsorted(high, u, side="right")) if forced is None else forced
    mass = float(tempered[kept].sum())
    candidates = []
    for rank, place in enumerate(order, 1):
        text = texts[place]
        raw = text if isinstance(text, bytes) else b"" if text.startswith("<EOS") else _utf8(text)
        candidates.append(
            Candidate(
                id=281 + int(place),
                text="\ufffd" if isinstance(text, bytes) else text,
                bytes=raw,
                logit=float(logits[place]),
                p_model=float(model[place]),
                logp_model=float(np.log(model[place])),
                p_tempered=float(tempered[place]),
                p_final=float(final[place]),
                rank=rank,
                removed_by=Removal(f"TopK({k})", f"rank {rank} of {k}") if place not in kept else None,
            )
        )
    by_place = {c.id - 281: c for c in candidates}

    def effect(stage, survivors, kept_mass, before, after, cut=None):
        def change(place):
            return float(np.log(after[place] / before[place])) if after[place] > 0 else None

        seen = {281 + place: change(place) for place in watched}
        return StageEffect(stage, survivors, kept_mass, _entropy(after), change(chosen), seen, cut=cut)

    cut = float(logits[order[k - 1]] - logits[order[k]]) / 0.8 if k < len(logits) else None
    stages = (
        effect("Temperature(0.8)", len(texts), 1.0, model, tempered),
        effect(f"TopK({k})", k, mass, tempered, final, cut),
    )
    interval = (float(high[chosen] - final[chosen]), float(high[chosen])) if forced is None else None
    decision = Decision(
        candidates=tuple(candidates),
        stages=stages,
        survivors=k,
        raw=Distribution(_entropy(model), min(8, len(texts)), 0.99),
        final=Distribution(_entropy(final), k, 1.0),
        u=u if forced is None else None,
        interval=interval,
        margin=min(u - interval[0], interval[1] - u) if interval else None,
        chosen=by_place[chosen],
        reason="drawn, and the most likely one" if forced is None else "forced by hand",
        forced=forced is not None,
    )
    vector = np.random.default_rng(seed).normal(size=64)
    facts = {
        "index": index,
        "position": index + 4,
        "id": 281,
        "text": " there",
        "bytes": b" there",
        "embedding": Embedding(
            (64,), float(np.linalg.norm(vector)), frozen_array(vector), 0.12 if index else None
        ),
        "decision": decision,
        "new_text": by_place[chosen].text,
        "offset": 6 * index,
        "finish": finish,
    }
    return Step(**{**facts, **changes})


def _utf8(text):
    return text.encode("utf-8", "surrogatepass")


def _softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def _entropy(p):
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def make_run(length=12, seed=3):
    """Steps as of one generation: each reads what the one before chose."""
    rng = np.random.default_rng(seed)
    steps, text, token_id, offset = [], " there", 300, 0
    for index in range(length):
        logits = rng.normal(size=len(STORY)) * rng.uniform(0.5, 4)
        texts = list(rng.permutation(STORY))
        last = index == length - 1
        step = make_step(
            index=index,
            texts=texts,
            logits=logits,
            k=int(rng.integers(2, 7)),
            u=float(rng.random()),
            seed=index,
            finish="length" if last else None,
            text=text,
            bytes=text.encode(),
            id=token_id,
            offset=offset,
        )
        chosen = step.decision.chosen
        text, token_id, offset = chosen.text, chosen.id, offset + len(chosen.bytes)
        steps.append(step)
    return steps


def make_train_step(index=120, watched=False, loss=3.4121, validation=3.5123):
    """A TrainStep, watched or not."""
    losses = frozen_array(np.linspace(0.1, 6.0, 8).reshape(2, 4)) if watched else None
    norms = {"embedding": ParameterNorms(0.5, 0.001, 12.0), "head.bias": ParameterNorms(0.01, 0.002, 0.0)}
    return TrainStep(
        index=index,
        ids=frozen_array(np.arange(8).reshape(2, 4)),
        loss=loss,
        tokens=index * 2048,
        rate=0.001,
        clip_factor=0.4312,
        validation=validation,
        losses=losses,
        norms=norms if watched else None,
    )


@pytest.fixture(scope="session")
def build_step():
    return make_step


@pytest.fixture(scope="session")
def run():
    return make_run()


@pytest.fixture(scope="session")
def build_train_step():
    return make_train_step


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE
