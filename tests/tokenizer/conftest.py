"""A small corpus and the tokenizers trained on it, once for all tests of this folder."""

import warnings
from pathlib import Path

import pytest

import tokenizer
from tokenizer import Tokenizer

SENTENCES = (
    "the little fox ran to the river, and the river sang.",
    "“Who is there?” asked the old owl; nobody answered.",
    "  two spaces, then 1234 numbers and Größe, ñandú, жизнь, 日本語のテスト.",
    "the fox and the owl ate the berries together that evening.",
)


@pytest.fixture(scope="session")
def lines() -> list[str]:
    return [sentence for sentence in SENTENCES for _ in range(3)]


@pytest.fixture(scope="session")
def small(lines: list[str]) -> Tokenizer:
    return tokenizer.train(lines=lines, vocab_size=420)


@pytest.fixture(scope="session")
def shakespeare(real_data: Path) -> str:
    return (real_data / "data" / "tinyshakespeare.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def plays(shakespeare: str) -> Tokenizer:
    return tokenizer.train(lines=[shakespeare], vocab_size=2000)


@pytest.fixture(scope="session")
def stories(real_data: Path) -> Tokenizer:
    return tokenizer.load(real_data / "models" / "stories260K" / "tokenizer.model")


@pytest.fixture(scope="session")
def gpt2(real_data: Path) -> object:
    transformers = pytest.importorskip("transformers")
    folder = real_data / "data" / "gpt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what transformers says about itself is not under test
        return transformers.GPT2Tokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))


@pytest.fixture(scope="session")
def llama(real_data: Path) -> object:
    transformers = pytest.importorskip("transformers")
    folder = real_data / "models" / "stories260K"
    return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)


HOSTILE = (
    "",
    " ",
    "   leading and trailing   ",
    "\n",
    "\n\n\n a\r\nb\rc",
    "\t\ttabs\t",
    "\0",
    "a\0b\0\0",
    "\u2581",
    "\u2581the\u2581 \u2581\u2581",
    " \u2581 ",
    "\u2585 unknown \u2047",
    "<s></s><unk><pad>",
    "</s>",
    "<0x0A><0x41>",
    "<|endoftext|>",
    "[INST] <<SYS>>",
    "\ufeffbyte order mark",
    "\ufffd replacement",
    "\ufffe\uffff",
    "\U0010ffff",
    "e\u0301 \u00e9 \u1e69 s\u0323\u0307",
    "\u202eright to left\u202c",
    "\u200b\u200c\u200d\u2060",
    "👨‍👩‍👧‍👦🏳️‍🌈",
    "ﬁ ｆｕｌｌ ② ™",
    "\x1b[31mred\x1b[0m",
    "\x00\x01\x02\x7f\x80\x9f",
    "\u2028\u2029\x0b\x0c\x85",
    "\u00a0\u3000\u2003",
    "안녕하세요",
    "日本語のテストです。",
    "שלום مرحبا",
    "Ω≈ç√∫˜µ≤≥÷",
    "a" * 5_000,
    " " * 5_000,
    "ab" * 3_000 + "\u2581" + "\n" * 3_000,
    "Z̸͎̈a̷̛l̵͝g̶̛o̸",
    "\\n \\x41 %s {0} ${HOME}",
    "'; DROP TABLE pieces; --",
    "the" + "\u2581" + "the",
)
