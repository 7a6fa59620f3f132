# %% [markdown]
# # Watch it think
#
# A model writes one token at a time, and every token is a decision: these could have come, so likely was
# each, these were ruled out, and then the dice fell. In this lesson you look at each decision as it is
# made, on the small model that comes with this package. It has read made-up stories and nothing else.
#
# The exercise is `exercise.py` beside this file; its tasks 3.1 to 3.6 are named where they belong.

# %%
import numpy as np

import minilm
from minilm import builtin

model, codec = builtin.model("numpy"), builtin.codec()
print(model.name, "vocabulary", model.vocab_size, "embedding", model.embedding_size)

# %% [markdown]
# ## Reading the whole prompt
#
# The prompt becomes ids, and the model reads **all** of them. What it has read is in its state. A
# well-known mistake is to hand it only the last id: no error, fluent text, and a model that has never seen
# your prompt.

# %%
prompt = "Once upon a time, there was a"
ids = codec.encode(prompt, special=True)
print([codec.piece(token_id) for token_id in ids])

for name, given in (("all of it", ids), ("its last id alone", ids[-1:])):
    logits = model.read(given).logits[-1]  # (V,)
    best = np.argsort(-logits)[:5]
    print(f"{name:18}", [codec.piece(token_id) for token_id in best])

# %% [markdown]
# ## One step
#
# A **cursor** is a place in a generation. It can look at its next step without taking it. The printed step
# shows what was read, the candidates with their logits and their probabilities before and after the
# sampling stages, and the draw.

# %%
cursor = minilm.start(model, codec, prompt, "Temperature(0.8) TopK(40) TopP(0.9)", seed=1)
step = cursor.peek()
print(step)

# %% [markdown]
# ### From logits to probabilities
#
# A logit is any number; softmax makes probabilities of them *(task 3.1)*. Dividing the logits by a
# temperature below 1 makes the likely tokens likelier, above 1 it evens them out. The order never changes.

# %%
logits = model.read(ids).logits[-1].astype("float64")
for temperature in (0.5, 1.0, 2.0):
    powers = np.exp((logits - logits.max()) / temperature)
    p = powers / powers.sum()
    print(
        f"temperature {temperature}: best {p.max():.2f}, together the best ten {np.sort(p)[-10:].sum():.2f}"
    )

# %% [markdown]
# ### Ruling out
#
# Each of the many unlikely tokens is improbable, but together they are drawn often enough to spoil a text.
# **Top-k** keeps the k likeliest *(task 3.2)*. **Top-p** keeps the fewest whose probabilities reach p
# together, the one that crosses the line included *(task 3.3)*: few where the model is sure, many where it
# is not. The ledger says what each stage left over, and which number ruled a candidate out.

# %%
for effect in step.decision.stages:
    left = f"leaves {effect.survivors:4} tokens and {effect.mass_kept:.3f} of the mass"
    print(f"{effect.stage:17} {left}, entropy {effect.entropy:.2f}")
for candidate in step.decision.candidates:
    gone = candidate.removed_by
    why = f"ruled out by {gone.stage}: {gone.why}" if gone else ""
    print(
        f"{candidate.rank:3} {candidate.text!r:12} {candidate.p_model:.3f} → {candidate.p_final:.3f}  {why}"
    )

# %% [markdown]
# ### How unsure is it?
#
# **Entropy** *(task 3.4)* is uncertainty in one number: ln n nats for n equally likely tokens, 0 where
# there is no choice. So e to the entropy reads as "as unsure as among so many".

# %%
raw, final = step.decision.raw, step.decision.final
print(f"the model: {raw.entropy:.2f} nats, as among {np.exp(raw.entropy):.1f} tokens")
print(f"after the stages: {final.entropy:.2f} nats, as among {np.exp(final.entropy):.1f} tokens")

# %% [markdown]
# ### The draw
#
# Put the probabilities side by side, in the order of the ids: together they fill the line from 0 to 1, and
# each token owns an interval. The draw u is a point on that line, and the token that owns the point is
# chosen *(task 3.5)*. Nothing else is random. "Chosen because it was the most probable" is true only where
# nothing is drawn.

# %%
decision = step.decision
low, high = decision.interval
print(f"u = {decision.u:.3f} fell into [{low:.3f}, {high:.3f}), which belongs to {decision.chosen.text!r}")
print("reason:", decision.reason)

# %% [markdown]
# ## A whole text
#
# The steps of a run are records; here is one line of each. Look at the column of entropies: some tokens are
# a real choice, others are bound to come.

# %%
steps = list(
    minilm.stream(model, codec, prompt, "Temperature(0.8) TopK(40) TopP(0.9)", seed=1, max_tokens=25)
)
for step in steps:
    chosen, embedding = step.decision.chosen, step.embedding
    read = f"read {step.text!r:10} norm {embedding.norm:5.2f} cosine {embedding.cosine:+.2f}"
    choice = f"chose {chosen.text!r:10} p {chosen.p_final:.2f} rank {chosen.rank}"
    print(f"{read}  entropy {step.decision.raw.entropy:.2f}  {choice}")
print(prompt + "".join(step.new_text for step in steps))

# %% [markdown]
# The embedding in a line is that of the token which was **read**, not of the one that is chosen; the chosen
# one is read in the next step. Its norm is its length, and the **cosine** *(task 3.6)* compares its
# direction with the one read before: 1 the same, 0 unrelated, -1 opposite.
#
# ## The same dice, other knobs
#
# A draw depends on the seed and on the place alone. So you can change one thing and leave the rest as it
# was.

# %%
for stages in ("Greedy()", "Temperature(0.5)", "Temperature(1.0)", "Temperature(2.0)"):
    told = minilm.stream(model, codec, prompt, stages, seed=1, max_tokens=20)
    print(f"{stages:17}", "".join(step.new_text for step in told))

# %% [markdown]
# ## What if?
#
# A cursor never changes: moving makes a new one, and the old one stays where it was. So going back is
# keeping the old one, and a fork is two of them. Force the second-best token, and see where the story goes.

# %%
first, second = cursor.peek().decision.candidates[:2]
for candidate in (first, second):
    place = cursor.advance(candidate.id)
    for _ in range(12):
        place = place.advance()
    print(f"{candidate.text!r}: {place.text}")

# %% [markdown]
# ## Your turn
#
# Fill in `exercise.py` from 3.1 to 3.6 and run `minilm lesson check` (or `pytest`) in this folder. Then ask
# yourself:
#
# - Where in the text is the entropy highest, and what kind of word comes there?
# - Find a token of rank 1 that was nevertheless a matter of luck.
# - Same seed, top-p 0.5 and 0.95: at which step do the two texts part, and why there?
