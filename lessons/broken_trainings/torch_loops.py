"""One correct training loop in PyTorch, and 31 loops that each break it with one classic bug.

Read `Loop` first. Every class after it changes one method, and its first line names the bug. `finding` is
what `minilm doctor` must report for it, and nothing else.
"""

import torch
from torch import nn
from torch.nn import functional
from toy_rows import PAD, VOCAB_SIZE, toy_rows

EMBEDDING_SIZE, HIDDEN_SIZE = 16, 24


class Net(nn.Module):
    """Ids (B, T) become logits (B, T, V) and the LSTM's last state."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB_SIZE, EMBEDDING_SIZE)
        self.lstm = nn.LSTM(EMBEDDING_SIZE, HIDDEN_SIZE, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(HIDDEN_SIZE, VOCAB_SIZE)

    def forward(self, ids, state=None):
        """Return the logits and the new state."""
        outputs, state = self.lstm(self.embedding(ids), state)
        return self.head(self.dropout(outputs)), state


class Loop:
    """The correct loop: the doctor finds nothing."""

    finding = ""
    rate = 0.01

    def __init__(self):
        torch.manual_seed(0)
        self.net = self.make_net()
        self.optimizer = self.make_optimizer()

    def make_net(self):
        """Return the net with its first weights."""
        return Net()

    def make_optimizer(self):
        """Return Adam over all parameters."""
        return torch.optim.Adam(self.net.parameters(), lr=self.rate)

    def batch(self, step):
        """Return the ids (B, T+1) of a step."""
        return torch.from_numpy(toy_rows(step))

    def cut(self, ids):
        """Return inputs and targets (B, T): each target is the id after its input."""
        return ids[:, :-1], ids[:, 1:]

    def read(self, inputs):
        """Return the logits (B, T, V), from a zero state."""
        return self.net(inputs)[0]

    def loss(self, logits, targets):
        """Return the mean loss in nats per token; padding does not count."""
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)

    def update(self, loss):
        """Run backward, clip the global gradient norm to 1, and update the weights."""
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()

    def run(self, steps):
        """Train, and yield the loss of every step."""
        for step in range(steps):
            inputs, targets = self.cut(self.batch(step))
            loss = self.loss(self.read(inputs), targets)
            self.update(loss)
            yield loss.item()


# Bugs in the data: how ids become inputs and targets, and which batch comes when.


class TargetsNotShifted(Loop):
    """Each id is its own target, so the model learns to copy."""

    finding = "targets_not_shifted"

    def cut(self, ids):
        return ids[:, :-1], ids[:, :-1]


class ShuffledTargets(Loop):
    """The targets belong to other rows than the inputs."""

    finding = "shuffled_targets"

    def cut(self, ids):
        return ids[:, :-1], ids[:, 1:].roll(1, dims=0)


class EmptyMask(Loop):
    """From step 5 on every target is padding, so the loss divides zero by zero."""

    finding = "non_finite"
    steps_cut = 0

    def cut(self, ids):
        self.steps_cut += 1
        targets = ids[:, 1:] if self.steps_cut < 5 else torch.full_like(ids[:, 1:], PAD)
        return ids[:, :-1], targets


class OrderRepeated(Loop):
    """The same six batches come in the same order in every epoch."""

    finding = "order_repeated"

    def batch(self, step):
        return super().batch(step % 6)


# Bugs in the loss.


class PaddingCounted(Loop):
    """The loss counts the padding, because ignore_index is missing."""

    finding = "padding_counted"

    def loss(self, logits, targets):
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


class PaddingDivides(Loop):
    """The padding's losses are set to 0, but the mean still divides by all positions."""

    finding = "padding_counted"

    def loss(self, logits, targets):
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (losses * (targets.flatten() != PAD)).mean()


class IgnoredWord(Loop):
    """The loss ignores a real word (id 10) as well as the padding."""

    finding = "dead_tokens"

    def loss(self, logits, targets):
        return super().loss(logits, torch.where(targets == 10, PAD, targets))


class LossSummed(Loop):
    """The loss is the sum over the tokens, not their mean."""

    finding = "loss_at_start"

    def loss(self, logits, targets):
        return functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum"
        )


class ViewForTranspose(Loop):
    """The logits are reshaped to (B, V, T) where their axes should be swapped."""

    finding = "wrong_dimension"

    def loss(self, logits, targets):
        batch, length, vocab_size = logits.shape
        return functional.cross_entropy(logits.reshape(batch, vocab_size, length), targets, ignore_index=PAD)


# Bugs in the update.


class GradientsNotZeroed(Loop):
    """zero_grad is missing, so the gradients of all steps add up."""

    finding = "gradients_not_zeroed"

    def update(self, loss):
        loss.backward()
        self.optimizer.step()


class ZeroedTooLate(Loop):
    """The gradients are zeroed between backward and step, so nothing is learned."""

    finding = "parameters_never_move"

    def update(self, loss):
        loss.backward()
        self.optimizer.zero_grad(set_to_none=False)
        self.optimizer.step()


class StepForgotten(Loop):
    """optimizer.step() is never called."""

    finding = "parameters_never_move"

    def update(self, loss):
        self.optimizer.zero_grad()
        loss.backward()


class HeadForgotten(Loop):
    """The optimizer does not get the parameters of the head."""

    finding = "parameters_never_move"

    def make_optimizer(self):
        given = [*self.net.embedding.parameters(), *self.net.lstm.parameters()]
        return torch.optim.Adam(given, lr=self.rate)


class ClipAfterUpdate(Loop):
    """The gradients are clipped after the update, when it is too late."""

    finding = "clipping_misplaced"

    def update(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.1)


class ClipPerParameter(Loop):
    """Each parameter is clipped alone, which changes the direction of the step."""

    finding = "clipping_misplaced"

    def update(self, loss):
        self.optimizer.zero_grad()
        loss.backward()
        for parameter in self.net.parameters():
            nn.utils.clip_grad_norm_(parameter, 0.05)
        self.optimizer.step()


class RateTooHigh(Loop):
    """Adam's learning rate is 1, about a hundred times too high."""

    finding = "rate_too_high"
    rate = 1.0


# Bugs in the net and its state.


class StateLeaking(Loop):
    """The loop hands the state of the last batch to a batch of other texts."""

    finding = "state_leaking"
    state = None

    def read(self, inputs):
        logits, state = self.net(inputs, self.state)
        self.state = tuple(part.detach() for part in state)
        return logits


class StateKept(Loop):
    """The net itself remembers its state between calls."""

    finding = "state_leaking"

    class Net(Net):
        """A net with a memory."""

        state = None

        def forward(self, ids, state=None):
            logits, state = super().forward(ids, self.state)
            self.state = tuple(part.detach() for part in state)
            return logits, state

    def make_net(self):
        return self.Net()


class FutureVisible(Loop):
    """The LSTM reads in both directions, so it sees the answer."""

    finding = "future_visible"

    def make_net(self):
        net = Net()
        net.lstm = nn.LSTM(EMBEDDING_SIZE, HIDDEN_SIZE // 2, batch_first=True, bidirectional=True)
        return net


class BatchNotFirst(Loop):
    """batch_first=True is missing, so the LSTM runs from row to row."""

    finding = "wrong_dimension"

    def make_net(self):
        net = Net()
        net.lstm = nn.LSTM(EMBEDDING_SIZE, HIDDEN_SIZE)
        return net


class SoftmaxOverTime(Loop):
    """The softmax runs over the positions instead of the vocabulary."""

    finding = "wrong_dimension"

    def make_net(self):
        net = Net()
        net.head = nn.Sequential(nn.Linear(HIDDEN_SIZE, VOCAB_SIZE), nn.LogSoftmax(dim=1))
        return net

    def loss(self, logits, targets):
        return functional.nll_loss(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)


class SoftmaxTwice(Loop):
    """The net ends in a softmax, and cross_entropy applies another one."""

    finding = "softmax_twice"

    def make_net(self):
        net = Net()
        net.head = nn.Sequential(nn.Linear(HIDDEN_SIZE, VOCAB_SIZE), nn.Softmax(-1))
        return net


class EmbeddingForgotten(Loop):
    """The optimizer does not get the embedding, so it never learns."""

    finding = "frozen_embedding"

    def make_optimizer(self):
        given = [*self.net.lstm.parameters(), *self.net.head.parameters()]
        return torch.optim.Adam(given, lr=self.rate)


class DetachedEmbedding(Loop):
    """The embedding's output is detached, so no gradient reaches it."""

    finding = "frozen_embedding"

    class Net(Net):
        """A net that cuts the gradient's way to the embedding."""

        def forward(self, ids, state=None):
            outputs, state = self.lstm(self.embedding(ids).detach(), state)
            return self.head(outputs), state

    def make_net(self):
        return self.Net()


class DeadToken(Loop):
    """padding_idx names a real token, so its embedding never moves."""

    finding = "dead_tokens"

    def make_net(self):
        net = Net()
        net.embedding = nn.Embedding(VOCAB_SIZE, EMBEDDING_SIZE, padding_idx=1)
        return net


class SaturatedGates(Loop):
    """The LSTM's first weights are thirty times too large, so its gates are stuck."""

    finding = "saturated_gates"

    def make_net(self):
        net = Net()
        with torch.no_grad():
            for parameter in net.lstm.parameters():
                parameter *= 30
        return net


class ExplodingNorms(Loop):
    """A recurrent layer without gates multiplies the gradient by 4 at every step back in time."""

    finding = "exploding_norms"

    def make_net(self):
        net = Net()
        net.lstm = nn.RNN(EMBEDDING_SIZE, HIDDEN_SIZE, nonlinearity="relu", batch_first=True)
        with torch.no_grad():
            net.lstm.weight_hh_l0.copy_(torch.eye(HIDDEN_SIZE) * 4)
            net.head.weight *= 0.01
        return net


class VanishingNorms(Loop):
    """Twelve sigmoid layers between the LSTM and the head let almost no gradient through."""

    finding = "vanishing_norms"

    class Net(Net):
        """A net that is too deep."""

        def __init__(self):
            super().__init__()
            layers = [part for _ in range(12) for part in (nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE), nn.Sigmoid())]
            self.head = nn.Sequential(*layers, nn.Linear(HIDDEN_SIZE, VOCAB_SIZE))

    def make_net(self):
        return self.Net()


# Bugs in the mode: dropout must be on in training, and only there.


class EvaluationMode(Loop):
    """The net trains in evaluation mode, so its dropout is always off."""

    finding = "modes_mixed"

    def make_net(self):
        return Net(dropout=0.3).eval()


class TestedInTraining(Loop):
    """The net is tested in train mode, so dropout disturbs the test."""

    finding = "modes_mixed"

    def make_net(self):
        return Net(dropout=0.3)

    def update(self, loss):
        super().update(loss)
        with torch.no_grad():
            self.read(self.cut(self.batch(1000))[0])


class DropoutAlways(Loop):
    """functional.dropout is called without self.training, so it is always on."""

    finding = "modes_mixed"

    class Net(Net):
        """A net whose dropout ignores the mode."""

        def forward(self, ids, state=None):
            outputs, state = self.lstm(self.embedding(ids), state)
            return self.head(functional.dropout(outputs, 0.3)), state

    def make_net(self):
        return self.Net()


BROKEN_LOOPS = tuple(Loop.__subclasses__())
