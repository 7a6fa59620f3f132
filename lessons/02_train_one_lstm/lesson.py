# %% [markdown]
# # Train one LSTM, in every framework you have
#
# The same small language model three times: in NumPy, where every derivative is written out by hand, in
# PyTorch and in TensorFlow. From the same first weights and the same batches they must show the same
# losses. Where they do, you know what the frameworks do for you: nothing but what you could have written.
#
# A framework that is not installed here is left out, and the lesson goes on without it. The exercise is
# `exercise.py` beside this file; its tasks 2.1 to 2.4 are named where they belong.

# %%
from itertools import permutations, product

import numpy as np

import minilm
import tokenizer

BACKENDS = minilm.available()
for name in ("torch", "tensorflow"):
    if name not in BACKENDS:
        print(f'{name} is not installed: this lesson goes on without it (pip install -e ".[{name}]")')
print("trained here:", ", ".join(BACKENDS))

# %% [markdown]
# ## Text to batches
#
# Fifty-four short stories, all of one kind: somebody finds something somewhere and gives it to somebody
# else. We wrote the generator, so we know how much there is to know, and will come back to that.

# %%
STORIES = product(permutations(("Ada", "Bo", "Mia"), 2), ("kite", "boat", "key"), ("river", "hill", "garden"))
LINES = [f"{a} found a {thing} by the {p}. {a} gave the {thing} to {b}." for (a, b), thing, p in STORIES]
codec = tokenizer.train(lines=LINES, vocab_size=320)
print(len(LINES), "stories, for example:", LINES[0])
print(codec.encode(LINES[0], special=True))

# %% [markdown]
# A language model predicts the *next* token, so the targets are the inputs moved by one place. Stories
# differ in length; the shorter ones are filled up with padding, and a mask says which targets count. Forget
# the mask, and the model is praised for predicting padding.

# %%
ids = [[*codec.encode(line, special=True), codec.special_ids["eos"]] for line in LINES]
longest = max(map(len, ids))
batch = np.array([row + [codec.special_ids["pad"]] * (longest - len(row)) for row in ids])
inputs, targets = batch[:, :-1], batch[:, 1:]  # (B, T)
mask = (targets != codec.special_ids["pad"]).astype("float32")  # (B, T)
print("batch", inputs.shape, "targets that count:", int(mask.sum()), "of", mask.size)

# %% [markdown]
# ## The model
#
# Each id looks up its row in a table (the embedding), an LSTM reads the rows one after the other, and a
# linear layer (the head) turns its output into one number per token of the vocabulary (the logits). These
# are all the weights there are:

# %%
config = minilm.ModelConfig(codec.vocab_size, embedding_size=32, hidden_size=64)
models = {name: minilm.create(name, config) for name in BACKENDS}
for name, array in models["numpy"].weights().items():
    print(f"{name:18} {array.shape}")

# %% [markdown]
# An LSTM step *(task 2.2)* is what makes it remember. It mixes its input and its last output into four
# blocks: how much to **write** (i), how much to **keep** (f), what to write (g), how much to **show** (o).
# That is why `lstm.0.kernel` has 4 x 64 columns. The model answers for any of these arrays; here is what
# its gates do on average while it reads.

# %%
reading = models["numpy"].read(ids[0], inner=["gates.0"])
for gate, block in zip("ifgo", np.split(reading.inner["gates.0"], 4, axis=-1), strict=True):
    print(f"{gate}: from {block.min():+.2f} to {block.max():+.2f}, mean {block.mean():+.2f}")

# %% [markdown]
# The keep gate f starts above one half on purpose: its bias begins at 1, so that a new LSTM remembers until
# it learns to forget.
#
# ## The loss
#
# The loss of one target is -ln p of the token that really came, in nats; the loss of a batch is the mean
# over the targets that count *(task 2.1)*. A model that knows nothing gives all V tokens about the same
# probability, so it must begin near ln V. If yours does not, look there first.

# %%
gradients = {name: model.gradients(inputs, targets, mask) for name, model in models.items()}
print(f"ln V = {np.log(codec.vocab_size):.2f}; first losses:", end=" ")
print(", ".join(f"{name} {found.loss:.3f}" for name, found in gradients.items()))

# %% [markdown]
# The three also agree about the way down. The largest difference between any two gradients, entry by entry:

# %%
for name in BACKENDS[1:]:
    pairs = [(gradients[name].arrays[key], array) for key, array in gradients["numpy"].arrays.items()]
    print(f"{name}: {max(np.abs(a - b).max() for a, b in pairs):.0e} from numpy")

# %% [markdown]
# ## The loop
#
# Gradients, then an update, and again: that is training. Two details make it work. **Clipping** *(task
# 2.3)* shortens a gradient that is too long, all arrays by the same factor, so that one odd batch cannot
# throw the model away. **Adam** *(task 2.4)* divides each entry by its own recent size, so that every
# weight moves about as far as the learning rate says.

# %%
losses = {name: [] for name in BACKENDS}
for name, model in models.items():
    for _ in range(80):
        found = model.gradients(inputs, targets, mask)
        model.update(found, rate=0.01, clip=1.0)
        losses[name].append(found.loss)

print("step  " + "  ".join(f"{name:>10}" for name in BACKENDS))
for step in range(0, 80, 10):
    print(f"{step + 1:4}  " + "  ".join(f"{losses[name][step]:10.5f}" for name in BACKENDS))

# %%
apart = max(np.ptp([losses[name][step] for name in BACKENDS]) for step in range(80))
print(f"largest difference in any step: {apart:.0e} nats")
assert apart < 1e-3

# %% [markdown]
# Three implementations, one curve. What is left is rounding: float32 has seven digits, and each framework
# adds up in its own order. The differences grow slowly, because each step starts from where the last one
# ended; after some hundred steps on another machine the last digits of a loss are not worth quoting.
#
# ## How low can it go?
#
# Every story is one of 54, all equally likely. So even a perfect model pays ln 54 nats per story, spread
# over its tokens. That is the **entropy** of this text: a floor under the loss. A lower loss would mean a
# mistake, for instance counting padding.

# %%
floor = np.log(len(LINES)) * len(LINES) / mask.sum()
print(f"floor {floor:.3f} nats per token, reached {losses['numpy'][-1]:.2f}")
assert losses["numpy"][-1] > floor

# %% [markdown]
# The gap is worth a look. Times the tokens of a story it is a few nats: about ln 3, or 1.1, for each choice
# among three that the model cannot make because it has forgotten what it read. Watch the thing that was
# found, and the thing that is given away.

# %%
gap = (losses["numpy"][-1] - floor) * mask.sum() / len(LINES)
print(f"gap {gap:.1f} nats per story")


def tell(model, seed=1):
    """A story that begins with a key."""
    steps = minilm.stream(model, codec, "Mia found a key", "Temperature(0.8) TopP(0.9)", seed, max_tokens=20)
    return "Mia found a key" + "".join(step.new_text for step in steps)


print(tell(models["numpy"]))

# %% [markdown]
# Train on, in one of your frameworks, and the gap closes. To remember over ten tokens is what it learns
# last.

# %%
quick = models["torch" if "torch" in BACKENDS else "numpy"]
for step in range(81, 701):
    found = quick.gradients(inputs, targets, mask)
    quick.update(found, rate=0.01, clip=1.0)
    if step % 100 == 0:
        print(f"step {step}: {found.loss:.3f}, floor {floor:.3f}")
print(tell(quick))

# %% [markdown]
# ## One set of weights, any framework
#
# The weights have one set of names in all three. Put the trained weights into each of them, and they
# give the same logits.

# %%
trained = quick.weights()
prompt = codec.encode("Mia found a key", special=True)
logits = {name: minilm.create(name, config, weights=trained).read(prompt).logits for name in BACKENDS}
for name in BACKENDS:
    apart = np.abs(logits[name] - logits["numpy"]).max()
    print(f"{name:10} {logits[name][0, :4].round(4)}  at most {apart:.0e} from numpy")

# %% [markdown]
# And it writes. The dice of a step depend on the seed and the place alone, so the same seed gives the same
# story in every framework.

# %%
for name in BACKENDS:
    print(f"{name:10} {tell(minilm.create(name, config, weights=trained), seed=2)}")

# %% [markdown]
# ## Your turn
#
# Fill in `exercise.py` from 2.1 to 2.4 and run `minilm lesson check` (or `pytest`) in this folder. Tasks
# 2.2 and 2.4 are held against PyTorch where it is installed. Then ask yourself:
#
# - What happens to the first loss if the head starts with large weights?
# - Set `rate=0.1`: which of the two, clipping or Adam, keeps the loss from exploding?
# - Which is learned first: what was found, or who found it? Print a story every fifty steps.
