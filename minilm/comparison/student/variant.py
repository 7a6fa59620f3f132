"""The choices that a student's LSTM makes: a field for each way in which it may differ from the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["LETTERS", "REFERENCE", "Variant"]

# The gates in the order of the blocks of 4H.
LETTERS = "ifgo"


@dataclass(frozen=True)
class Variant:
    """The reference with some of its choices changed; every default is the reference's choice.

    Attributes:
        order: the gate as which each block of 4H is read.
        ordered: the arrays that are read in that order: "all", "kernel", "recurrent", "bias" or "kernels".
        blocks: False where the four gates of one unit are neighbours, instead of four blocks of H.
        copied: "f<i" where f is computed with the block of i.
        copied_part: the arrays in which that happens: "all", "kernel", "recurrent" or "bias".
        without: "recurrent g" where that block is missing.
        joined: "xh"; "hx" for [h, x] on [kernel; recurrent]; "weights" for [x, h] on [recurrent; kernel].
        kernel: "given", "reshaped" where it was reshaped instead of transposed, or "none".
        recurrent: "given", "reshaped", "none", or "transposed" where each block is transposed.
        recurrent_reads: "h", or "c", or "h+c" where c @ recurrent is added.
        bias: how often the bias is added.
        bias_after: True where the bias is added after the activations.
        forget_bias: what is added to the forget gate besides the bias.
        norm: "" or "z" or "gates" where the sums are normalised as by a layer norm.
        clip: the largest absolute sum before the activations.
        gates: the activation of i, f and o, a key of ACTIVATIONS.
        i: the activation of the input gate; "" means that of `gates`.
        f: the activation of the forget gate; "" means that of `gates`.
        o: the activation of the output gate; "" means that of `gates`.
        g: the activation of the candidate g.
        output: the activation of the cell in h = o * tanh(c).
        cell: the formula of the new cell, a key of CELLS.
        cell_clip: the largest absolute value of the new cell.
        hidden: the formula of the new hidden state, a key of HIDDENS.
        o_reads: "h", or "tanh(c)" where o is computed from tanh of the new cell in the place of h.
        peephole: the gates to which the old cell is added; "O" for an output gate that gets the new cell.
        carried: the parts of "hc" that the next step gets; the others are 0.
        swap: "answer" where c and h are taken and returned in the other order; "step" where only the return,
            "arguments" where only the arguments are swapped.
        late: True where h reads the cell before its update.
        shift: how many steps too late the outputs are.
        backwards: True where the last input is read first.
        flipped: True where the outputs are then put back in order.
        start: the value of the state before the first step.
        start_of: the parts of "hc" that start with it.
        rows: "apart", or how the rows of a batch are mixed (run_cell).
        embedding_scale: what the embeddings are multiplied by.
        zero_id: the id whose embedding is 0; -1 for none.
        masked: True where a step that reads id 0 leaves the state as it is.
        ids: what is added to each id.
        head_bias: how often the bias of the head is added.
        head_reads: "h", or "c", or an activation of h.
        logits: "given", or "softmax", "log_softmax" or "sigmoid" of them.
        head: "given", or "reshaped" where the head's kernel was reshaped instead of transposed.
    """

    order: str = LETTERS
    ordered: str = "all"
    blocks: bool = True
    copied: str = ""
    copied_part: str = "all"
    without: str = ""
    joined: str = "xh"
    kernel: str = "given"
    recurrent: str = "given"
    recurrent_reads: str = "h"
    bias: float = 1.0
    bias_after: bool = False
    forget_bias: float = 0.0
    norm: str = ""
    clip: float = np.inf
    gates: str = "sigmoid"
    i: str = ""
    f: str = ""
    o: str = ""
    g: str = "tanh"
    output: str = "tanh"
    cell: str = "f*c + i*g"
    cell_clip: float = np.inf
    hidden: str = "o*tanh(c)"
    o_reads: str = "h"
    peephole: str = ""
    carried: str = "hc"
    swap: str = ""
    late: bool = False
    shift: float = 0.0
    backwards: bool = False
    flipped: bool = False
    start: float = 0.0
    start_of: str = "hc"
    rows: str = "apart"
    embedding_scale: float = 1.0
    zero_id: float = -1.0
    masked: bool = False
    ids: float = 0.0
    head_bias: float = 1.0
    head_reads: str = "h"
    logits: str = "given"
    head: str = "given"


REFERENCE = Variant()
