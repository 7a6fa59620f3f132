"""The shipped model: small, whole, and near the floor it was trained towards."""

import numpy as np

from minilm import builtin
from minilm.training.batches import encode_documents, in_order
from minilm.training.corpus import from_storyland
from minilm.training.fit import evaluate
from minilm.training.storyland.entropy import floor
from minilm.training.storyland.stories import storyland


def test_the_shipped_model_is_under_a_megabyte():
    assert sum(path.stat().st_size for path in builtin.folder().iterdir()) < 1_000_000


def test_the_shipped_model_is_near_the_entropy_of_its_stories():
    codec = builtin.codec()
    held_out = in_order(encode_documents(codec, from_storyland(1, 77, 60).held_out), 60, 400)
    loss = evaluate(builtin.model(), list(held_out))
    assert loss - floor(storyland(), codec).per_token < 0.15


def test_the_shipped_model_reads_its_prompt_in_numpy():
    codec, model = builtin.codec(), builtin.model()
    reading = model.read(codec.encode(builtin.PROMPT, special=True))
    assert reading.logits.shape == (1, model.vocab_size)
    assert np.isfinite(reading.logits).all()
    following = codec.piece(int(reading.logits[0].argmax()))
    assert following == ","
