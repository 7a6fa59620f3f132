"""One prompt at many places of a training, and an update's effect: equal to what is measured by hand."""

import numpy as np
import pytest

from minilm import backends
from minilm.bench.workloads import FakeCodec
from minilm.comparison.training import follow_prompt, measure_update, visit_steps
from minilm.errors import MinilmError
from minilm.faces.text.train import effect_text, moments_text
from minilm.generation import stream
from minilm.numerics import cosine, entropy, softmax
from minilm.records import ModelConfig
from minilm.training.batches import Batches
from minilm.training.fit import Schedule
from minilm.training.timeline.timeline import Timeline

CONFIG = ModelConfig(20, 5, 6, layers=1, seed=1)
BATCHES = Batches([np.random.default_rng(3).integers(4, 20, 300)], 3, 8, seed=2)
CODEC = FakeCodec(20)
PROMPT = " w5 w9 w7"
IDS = [2, 5, 9, 7]
BACKENDS = backends.available()


def timeline(backend, rate=5e-2):
    return Timeline(backends.create(backend, CONFIG, "float64"), BATCHES, Schedule(rate, 12))


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_moment_equals_a_training_that_stopped_there(backend):
    moments = list(
        follow_prompt(visit_steps(timeline(backend), [0, 3, 12]), CODEC, PROMPT, word="w8", max_tokens=6)
    )
    model = backends.create(backend, CONFIG, "float64")
    first = np.array(model.embedding_table()[8])
    by_hand = {}
    for index in range(13):
        if index in (0, 3, 12):
            p = softmax(model.read(IDS).logits[-1])
            texts = stream(model, CODEC, PROMPT, "Temperature(0.8) TopK(40)", seed=0, max_tokens=6)
            vector = np.array(model.embedding_table()[8])
            by_hand[index] = p[8], entropy(p), "".join(s.new_text for s in texts), 1 - cosine(vector, first)
        if index < 12:
            batch = BATCHES.batch(index)
            gradients = model.gradients(batch.inputs, batch.targets, batch.mask)
            model.update(gradients, Schedule(5e-2, 12).at(index), 1.0)
    for moment in moments:
        p, nats, text, drift = by_hand[moment.index]
        assert (moment.p, moment.entropy) == (pytest.approx(p), pytest.approx(nats))
        assert moment.text == text
        assert moment.drift == pytest.approx(drift, abs=1e-12)
    assert moments[-1].drift > 0
    assert moments_text(moments).count("\n") == 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_effect_of_a_small_update_is_the_sum_of_its_parameters_shares(backend):
    place = timeline(backend, rate=1e-4).jump(4)
    effect = measure_update(place, CODEC, PROMPT, "w8")
    before = softmax(place.model.read(IDS).logits[-1])[8]
    after = softmax(place.next().model.read(IDS).logits[-1])[8]
    assert effect.change == pytest.approx(np.log(after / before), rel=1e-9)
    assert effect.watched.p_after == pytest.approx(after)
    assert abs(effect.rest) < 0.02 * abs(effect.change)
    assert "the update of step 5 changed log p" in effect_text(effect)


def test_without_a_word_the_likeliest_token_is_watched():
    place = timeline("numpy").jump(12).back(3)
    assert measure_update(place, CODEC, PROMPT).watched.id == int(place.model.read(IDS).logits[-1].argmax())


def test_a_word_without_a_token_is_refused():
    with pytest.raises(MinilmError, match="no token"):
        list(follow_prompt(visit_steps(timeline("numpy"), [0]), CODEC, PROMPT, word=" "))
