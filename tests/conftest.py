"""What every test gets: quiet, offline frameworks, the real data, and a small model with a codec of bytes."""

import codecs
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores; and sums then have one order
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder named by MINILM_REAL_DATA; the test is skipped where it is not set."""
    folder = os.environ.get("MINILM_REAL_DATA")
    if not folder:
        pytest.skip("MINILM_REAL_DATA names no folder of real texts and models")
    return Path(folder)


class ByteDecoder:
    """UTF-8, byte by byte."""

    def __init__(self, pending=b""):
        self.pending = pending

    def push(self, token_id):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(self.pending + ByteCodec().piece_bytes(token_id))
        self.pending = decoder.getstate()[0]
        return text

    def flush(self):
        text, self.pending = self.pending.decode("utf-8", "replace"), b""
        return text

    def copy(self):
        return ByteDecoder(self.pending)


class ByteCodec:
    """Ids 0 to 3 are special, id 4 + b is byte b."""

    special_ids = {"pad": 0, "unk": 1, "bos": 2, "eos": 3}  # noqa: RUF012
    vocab_size = 260

    def encode(self, text, special=False):
        return [2] * special + [4 + byte for byte in text.encode()]

    def decode(self, ids):
        return b"".join(map(self.piece_bytes, ids)).decode("utf-8", "replace")

    def piece(self, token_id):
        return f"<{token_id}>"

    def piece_bytes(self, token_id):
        return bytes([token_id - 4]) if token_id >= 4 else b""

    def stream(self):
        return ByteDecoder()

    def merge(self, ids, text):
        return [*ids, *self.encode(text)], len(ids)

    def chat(self, messages):
        return None


@pytest.fixture(scope="session")
def codec():
    return ByteCodec()


@pytest.fixture(scope="session")
def model():
    from minilm import backends
    from minilm.records import ModelConfig

    return backends.create("numpy", ModelConfig(260, 16, 24, seed=3))


@pytest.fixture
def record(model, codec, tmp_path):
    """A function that records a run with its logits and gives the path of its trace."""
    from minilm.generation import start
    from minilm.trace.logits import logits_path
    from minilm.trace.writer import TraceWriter

    def run(name="run.jsonl", stages="Temperature(0.9) TopK(30) TopP(0.95)", seed=0, prompt="hé", **settings):
        path = tmp_path / name
        cursor = start(model, codec, prompt, stages, seed, **{"max_tokens": 8, **settings})
        with (
            path.open("w", encoding="utf-8") as file,
            logits_path(path).open("wb") as rows,
            TraceWriter(file, cursor, rows) as trace,
        ):
            for place in cursor.cursors():
                trace.step(place.peek(), place.reading.logits[-1])
        return path

    return run
