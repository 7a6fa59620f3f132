"""A user's own net becomes a language model when it fits, and is told what was expected where it does not."""

import numpy as np
import pytest

from minilm.backends import create, wrap
from minilm.errors import MinilmError
from minilm.protocols import LanguageModel
from minilm.records import ModelConfig

torch = pytest.importorskip("torch")
nn = torch.nn


class Net(nn.Module):
    """A student's net; parts: how many of logits, state, embeddings it returns."""

    def __init__(self, parts=2, batch_first=True):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = nn.Embedding(11, 4), nn.Linear(5, 11)
        self.lstm, self.dropout = nn.LSTM(4, 5, batch_first=batch_first), nn.Dropout(0.5)
        self.parts = parts

    def forward(self, ids, state=None):
        embeddings = self.embedding(ids)
        hidden, state = self.lstm(embeddings, state)
        logits = self.head(self.dropout(hidden))
        return logits if self.parts == 1 else (logits, state, embeddings)[: self.parts]


def assert_reads_alike(model, expected):
    """Whole, split and one by one give the rows expected; an old state stays usable."""
    assert isinstance(model, LanguageModel)
    ids = [3, 1, 4, 1, 5]
    np.testing.assert_allclose(model.read(ids, rows="all").logits, expected, atol=1e-6)
    first = model.read(ids[:2], rows="all")
    model.read([9], first.state)
    rest = model.read(ids[2:], first.state, rows="all")
    assert rest.embeddings.shape == (3, 4)
    np.testing.assert_allclose(np.concatenate([first.logits, rest.logits]), expected, atol=1e-6)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_torch_net_reads_with_and_without_a_state_of_its_own(parts):
    net = Net(parts)
    model = wrap(net)
    assert (model.name, model.vocab_size, model.embedding_size) == ("Net", 11, 4)
    net.eval()
    with torch.no_grad():
        answer = net(torch.tensor([[3, 1, 4, 1, 5]]))
    assert_reads_alike(model, (answer if parts == 1 else answer[0])[0].numpy())


def test_a_net_in_training_is_read_without_dropout_and_left_as_it_was():
    net = Net().train()
    net.lstm.eval()
    model = wrap(net)
    assert np.array_equal(model.read([1, 2]).logits, model.read([1, 2]).logits)
    assert (net.training, net.dropout.training, net.lstm.training) == (True, True, False)


def test_a_state_that_must_be_given_is_given_as_none():
    class Demanding(Net):
        def forward(self, ids, state):
            return super().forward(ids, state)

    assert wrap(Demanding()).read([1, 2]).logits.shape == (1, 11)


def test_a_net_that_writes_into_its_state_cannot_spoil_the_old_one():
    class Greedy(Net):
        def forward(self, ids, state=None):
            answer, after = super().forward(ids, state)
            if state is not None:
                state[0].zero_()
            return answer, after

    model = wrap(Greedy())
    state = model.read([1, 2]).state
    first = model.read([3], state).logits
    assert np.array_equal(model.read([3], state).logits, first)


class NoTable(nn.Module):
    def forward(self, ids):
        return torch.zeros(1, ids.shape[1], 7)


class Flat(nn.Module):
    def forward(self, ids):
        return torch.zeros(7)


class Dictionary(nn.Module):
    def forward(self, ids):
        return {"logits": torch.zeros(1, 2, 7)}


class Failing(nn.Module):
    def forward(self, ids):
        return ids @ ids


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (Net(batch_first=False), "is batch_first missing"),
        (NoTable(), r"no Embedding layer; return \(logits, state, embeddings"),
        (Flat(), r"for ids \(1, 2\) its logits have shape \(7,\)"),
        (Dictionary(), "its logits are of type dict"),
        (Failing(), r"could not read ids of shape \(1, 2\): RuntimeError"),
        (3, "takes a torch module or a Keras model, got int"),
        (len, "takes a torch module or a Keras model"),
    ],
)
def test_what_does_not_fit_is_told_what_was_expected_and_got(net, message):
    with pytest.raises(MinilmError, match=message) as caught:
        wrap(net)
    assert "\n" not in str(caught.value)


def test_ids_inner_arrays_and_a_foreign_codec_are_refused():
    model = wrap(Net())
    with pytest.raises(MinilmError, match="Id 11 at position 0"):
        model.read([11])
    with pytest.raises(MinilmError, match="shows no inner arrays"):
        model.read([1], inner=["gates.0"])
    with pytest.raises(MinilmError, match="logits for 11 ids, the codec has 12"):
        wrap(Net(), type("Codec", (), {"vocab_size": 12})())


def test_the_net_inside_our_own_backend_answers_like_the_backend():
    """The wrapper against a model whose answers the contract holds."""
    ours = create("torch", ModelConfig(11, 4, 5))

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = ours.net

        def forward(self, ids, state=None):
            outputs, state = self.net(self.net.embedding(ids), state)
            return self.net.head(outputs[-1]), state

    assert_reads_alike(wrap(Plain()), ours.read([3, 1, 4, 1, 5], rows="all").logits)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_keras_model_reads_with_and_without_a_state_of_its_own(parts):
    keras = pytest.importorskip("keras")

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.table, self.head = keras.layers.Embedding(11, 4), keras.layers.Dense(11)
            self.lstm = keras.layers.LSTM(5, return_sequences=True, return_state=True)

        def call(self, ids, state=None):
            embeddings = self.table(ids)
            hidden, *after = self.lstm(embeddings, initial_state=state)
            logits = self.head(hidden)
            return logits if parts == 1 else (logits, after, embeddings)[:parts]

    net = Model()
    model = wrap(net)
    answer = net(np.array([[3, 1, 4, 1, 5]]))
    assert_reads_alike(model, np.asarray(answer if parts == 1 else answer[0])[0])
