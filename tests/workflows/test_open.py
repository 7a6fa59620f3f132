"""minilm.open and minilm.wrap: every kind of source, and what an Opened answers."""

import shutil

import numpy as np
import pytest

import minilm
from minilm import builtin
from minilm.errors import MinilmError
from minilm.generation import start, stream
from minilm.generation.score import score

STAGES = "Temperature(0.8) TopK(5)"


@pytest.fixture(scope="module")
def lm():
    return minilm.open()


def test_an_opened_model_does_what_the_functions_do(lm):
    told = {"seed": 3, "max_tokens": 12}
    expected = list(stream(lm.model, lm.codec, "Once upon a time", STAGES, eos_ids=lm.eos_ids, **told))
    assert list(lm.stream("Once upon a time", STAGES, **told)) == expected
    assert lm.text("Once upon a time", STAGES, **told) == "".join(step.new_text for step in expected)
    assert lm.start("Once upon a time", STAGES, **told).peek() == expected[0]
    assert lm.start("Once upon a time").settings.eos_ids == lm.eos_ids == (lm.codec.special_ids["eos"],)
    assert list(lm.score("A girl")) == list(score(lm.model, lm.codec, "A girl"))


def test_an_opened_model_reads_like_its_model(lm):
    ids = lm.codec.encode("Once upon", special=True)
    assert isinstance(lm, minilm.protocols.LanguageModel)
    np.testing.assert_array_equal(lm.read(ids, rows="all").logits, lm.model.read(ids, rows="all").logits)
    assert start(lm, lm.codec, ids, STAGES).peek() == lm.start(ids, STAGES).peek()


@pytest.mark.parametrize("source", [None, "builtin:stories", "folder", "run", "path"])
def test_every_name_of_a_model_opens_the_same_one(lm, tmp_path, source):
    shutil.copytree(builtin.folder(), tmp_path / "run" / "model")
    named = {
        "folder": str(builtin.folder()),
        "run": str(tmp_path / "run"),
        "path": tmp_path / "run" / "model",
    }
    opened = minilm.open(named.get(source, source))
    assert opened.text("Once", "Greedy()", max_tokens=6) == lm.text("Once", "Greedy()", max_tokens=6)


def test_a_net_of_ones_own_opens_with_its_codec(lm):
    opened = minilm.open(lm.model, lm.codec)
    assert opened.eos_ids == lm.eos_ids
    assert opened.text("Once", "Greedy()", max_tokens=4) == lm.text("Once", "Greedy()", max_tokens=4)


def test_a_torch_module_opens_as_minilm_wrap_does(lm):
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(800, 4)
            self.head = torch.nn.Linear(4, 800)

        def forward(self, ids):
            return self.head(self.embedding(ids))

    torch.manual_seed(0)
    net = Net()
    for opened in (minilm.open(net, lm.codec), minilm.wrap(net, lm.codec)):
        with torch.no_grad():
            expected = net(torch.tensor([[5, 6]]))[0, -1].numpy()
        np.testing.assert_allclose(opened.read([5, 6]).logits[0], expected, atol=1e-6)
        assert len(list(opened.stream("Once", seed=1, max_tokens=3))) == 3


@pytest.mark.parametrize(
    ("source", "codec", "named"),
    [
        ("", None, "hf:PATH_OR_ID or builtin:NAME, got ''"),
        ("hf:", None, "got 'hf:'"),
        ("builtin:poems", None, "There is no built-in model 'poems'; there is stories"),
        ("nowhere/at/all", None, "nowhere/at/all"),
        (object(), None, "needs its tokenizer, got object alone"),
        (None, object(), "for a net of your own alone"),
    ],
)
def test_what_cannot_be_opened_is_named_in_one_line(source, codec, named):
    with pytest.raises(MinilmError) as caught:
        minilm.open(source, codec)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_tokenizer_is_minilms_error(tmp_path):
    from minilm.workflows.codec import load_codec

    (tmp_path / "tokenizer.model").write_bytes(b"nothing of the kind")
    with pytest.raises(MinilmError, match="SentencePiece model"):
        load_codec(tmp_path / "tokenizer.model")
