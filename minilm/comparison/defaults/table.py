"""The table of defaults: what PyTorch and Keras do differently, the effect on a comparison, the neutral form.

Measured on torch 2.13, TensorFlow 2.21 and Keras 3.15. A default that cannot be switched on in one process
says why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from minilm.errors import MinilmError

__all__ = ["DEFAULTS", "INJECTABLE", "Default", "check_names"]


@dataclass(frozen=True, slots=True)
class Default:
    """One difference between the frameworks' defaults.

    Attributes:
        number: its place in the table, from 1.
        name: the word for it in commands.
        topic: the part of the model or of its training.
        torch: what PyTorch does.
        keras: what Keras does.
        effect: what a comparison shows where this is the cause.
        neutral: how both frameworks can be made to do the same.
        why_not: why it is documented only; "" where it can be switched on.
    """

    number: int
    name: str
    topic: str
    torch: str
    keras: str
    effect: str
    neutral: str
    why_not: str = ""


# name | topic | PyTorch | Keras | effect | neutral form | why it cannot be switched on
_LINES = """\
gate_order | gate order | i,f,g,o | i,f,c,o: the same | every gate computes another's work | \
one order, checked
weight_layout | weight layout | (4H,in) and (4H,H) | (in,4H) and (H,4H) | \
a reshape scatters the weights | transpose
two_biases | biases | two, always added | one | the bias learns at twice the rate | \
second bias zero and frozen
embedding_init | embedding init | N(0,1) | U(-0.05,0.05) | its first numbers are 35 times larger | \
same arrays
kernel_init | input kernel init | U(-1/√H,1/√H) | Glorot over the fused (in,4H) | other first kernel | \
same arrays
recurrent_init | recurrent init | U(-1/√H,1/√H) | orthogonal | other first recurrent kernel | same arrays
bias_init | bias init | U(-1/√H,1/√H) | 0, forget gate 1 | the forget gate starts at 0.50 or at 0.73 | \
same arrays
head_init | output layer init | U(-1/√H,1/√H), bias too | Glorot, bias 0 | other first output layer | \
same arrays
adam_epsilon | Adam's epsilon | 1e-8 | 1e-7 | small gradients move less | set it explicitly
adam_epsilon_hat | place of epsilon | √v/√(1-β₂ᵗ) + ε | √v + ε, correction in the rate | \
ε acts 30 times larger at step 1 | the formula without the hat
adam_constants | Adam's constants | double | rounded to float32 | a floor of 2e-6 in float64 | round both
embedding_sparse | embedding gradient | dense, summed | slices squared one by one | \
an id that occurs k times moves √k too far | sum the slices first
clip_divisor | global-norm clip | divides by norm + 1e-6 | divides by norm | \
clipped gradients differ by 1e-8 | one formula
clip_per_variable | clipnorm | no such thing | each variable by its own norm | a different clip | not used
clip_sparse | clip of sparse gradients | summed | norm of un-summed slices | \
the norm is wrong, and so is the clip | sum the slices first
infinite_gradient | infinite gradient | NaN in that entry | NaN everywhere | \
one bad number destroys all weights | stop and report
loss_over_padding | loss over padding | mean over kept tokens | divides by all tokens | \
the loss shrinks by the padding | masked sum over count
all_padding | a batch all padding | NaN | 0 | nothing is learnt, without a warning | refused
probabilities_as_logits | logits or probabilities | logits | probabilities by default | softmax twice | \
from_logits=True
implicit_mask | mask | none | taken from the inputs | a real id 0 is left out of the loss | explicit mask only
padded_steps | LSTM over padded steps | goes on | keeps its state | other outputs and last state | \
compare under the mask
padding_row | padding row | zero, no gradient | random | that row of the embedding | ignored by the mask
empty_row | row of length 0 | error when packed | accepted on a CPU | a row without a target counts | \
refused
cudnn | cuDNN | any LSTM | default activations, right-padded mask | another kernel | documented | \
needs a GPU's own kernels
dropout_place | dropout argument | between layers | on inputs, one mask for all steps | another net | \
explicit masks
time_major | layout | (T,B) unless batch_first | (B,T) | the LSTM runs over the rows | canonical (B,T)
weight_decay | weight decay in Adam | L2 in the gradient | decoupled | \
decay is divided by the gradient's size | AdamW or none
sgd_rate | SGD's default rate | 1e-3 | 1e-2 | steps ten times as long | set it explicitly
id_range | id out of range | IndexError | error on a CPU, 0 on a GPU | a wrong id is read as zeros | \
checked before the framework
reported_loss | reported loss | what you print | running mean of the epoch | the curve lags | per step
shuffling | shuffling | off by default | on for arrays | other batches | minilm orders them
seeds | seeds | one generator | another generator | never the same numbers | copy the arrays | \
no seed gives two frameworks equal numbers
sum_order | oneDNN / compile | eager | reorders sums | 1e-7 in float32 | TF_ENABLE_ONEDNN_OPTS=0
eager_cost | eager cost | 0.3 ms a token | 6 ms a token | time only | a traced step | \
it changes no number
"""

DEFAULTS: dict[str, Default] = {
    (parts := [part.strip() for part in line.split(" | ")])[0]: Default(number, *parts)
    for number, line in enumerate(_LINES.strip().splitlines(), 1)
}

INJECTABLE: tuple[str, ...] = tuple(name for name, default in DEFAULTS.items() if not default.why_not)


def check_names(names: Iterable[str]) -> frozenset[str]:
    """Return the names as a set.

    Args:
        names: names of defaults that should be switched on.

    Raises:
        MinilmError: for a name that is not in the table, or that cannot be switched on.

    >>> sorted(check_names(["two_biases"]))
    ['two_biases']
    """
    found = frozenset(names)
    for name in sorted(found):
        if name not in DEFAULTS:
            raise MinilmError(f"There is no default {name!r}; minilm compare --defaults lists them")
        if DEFAULTS[name].why_not:
            raise MinilmError(f"Default {name} cannot be switched on: {DEFAULTS[name].why_not}")
    return found
