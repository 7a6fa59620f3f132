"""Real tokenizers, which write every text their own way."""

import warnings

import pytest

import tokenizer
from minilm import builtin

STORY = [
    'Once upon a time there was a "fox" who said: Yes, yes!',
    "No, nothing at all {1, 2.5, -30}",
    "größer 中文 😀 true false null, Maybe",
]


@pytest.fixture(scope="session")
def pieces():
    return tokenizer.train(lines=[line for line in STORY for _ in range(3)], vocab_size=340)


@pytest.fixture(scope="session")
def storyland():
    return builtin.codec()


@pytest.fixture(scope="session")
def stories(real_data):
    return tokenizer.load(real_data / "models" / "stories260K" / "tokenizer.model")


@pytest.fixture(scope="session")
def gpt2(real_data):
    transformers = pytest.importorskip("transformers")
    from tokenizer.huggingface import from_transformers

    folder = real_data / "data" / "gpt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what transformers says about itself is not under test
        raw = transformers.GPT2Tokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))
    return from_transformers(raw)
