# %% [markdown]
# # Text to ids
#
# A language model reads numbers and writes numbers. What stands between your sentence and those numbers is
# the **tokenizer**, and much of what looks odd in a model begins there. In this lesson you take one apart:
# characters, bytes, pairs, merges, ids, and the way back.
#
# Run the cells in turn, or all at once with `python lesson.py`. The exercise is `exercise.py` beside this
# file; its tasks 1.1 to 1.6 are named where they belong.

# %%
import tokenizer
from tokenizer.bpe import explain, train_merges

TEXT = """The slow owl sat on the low wall. The slower owl sat lower.
The wind blew low and slow, and the owl said: how now?
A new owl flew over the wall. The new owl was newer and wider than the old owl.
The old owl said: welcome. The new owl said: I know this wall, it is now the lowest of all.
So the slow owl, the old owl and the new owl sat low on the wall, and the wind blew slower.
"""

# %% [markdown]
# ## Characters and bytes
#
# A computer stores text as bytes. In UTF-8 an English letter takes one byte, an accented one two, most
# Chinese characters three and most emoji four. So "how long is this text?" has two answers. *(task 1.1)*

# %%
for word in ("naive", "naïve", "你好", "🙂"):
    print(f"{word!r:8} characters {len(word)}, bytes {len(word.encode())}: {list(word.encode())}")

# %% [markdown]
# Bytes would already do as ids: there are 256 of them, and every text in every language can be written with
# them. But then a sentence is long, and the model must spend a step on each letter. Whole words would be
# short, but no list of words is ever complete. **Byte pair encoding** lies in between: it begins with
# characters and joins what often stands together.
#
# ## Counting pairs, merging the best
#
# Count all neighbours *(task 1.2)*, join the most frequent pair everywhere *(task 1.3)*, and begin again
# *(task 1.4)*. That is the whole training. Each merge below is a record: which pair, how often it occurred,
# and the new piece. A space belongs to the piece that follows it, so ` owl`, a word, and `owl` inside
# another word are two pieces; but no piece reaches from one word into the next.

# %%
for merge in train_merges(TEXT.splitlines(), limit=12):
    left, right = merge.pair
    print(f"{merge.order:3}  {left!r:>6} + {right!r:6} -> {merge.piece!r:8} occurred {merge.count} times")

# %% [markdown]
# Nobody told it which words there are. Frequent words become one piece within a few merges, rare ones stay
# in parts.
#
# ## A vocabulary
#
# SentencePiece does the same fast. The first four ids are special: padding, unknown, beginning and end of a
# text. Then come the 256 bytes, then the merged pieces in the order in which they were learned, then the
# single characters.

# %%
codec = tokenizer.train(lines=TEXT.splitlines(), vocab_size=310)
print(codec)
print("special:", dict(codec.special_ids))
print("learned first:", [codec.piece(token_id) for token_id in range(260, 270)])

# %% [markdown]
# Ask for more pieces than the text can teach, and the vocabulary is lowered, with a line that says so.

# %%
print(tokenizer.train(lines=TEXT.splitlines(), vocab_size=64_000).notices[0])

# %% [markdown]
# ## Encoding: the same merges, replayed
#
# To encode a text, begin with its characters. Of all neighbours that join to a known piece, join the one
# whose piece was learned earliest; repeat until nothing joins. *(task 1.5)* Here is every step for a word
# that is *not* in the text.

# %%
explanation = explain(" slowest", codec)
print(" | ".join(explanation.start))
for row in explanation.rows():
    print(" | ".join(row))
print("ids:", explanation.ids)
assert explanation.ids == codec.encode(" slowest")  # by hand and by SentencePiece

# %% [markdown]
# ## The way back
#
# Each id stands for some bytes, and decoding puts the bytes together. A character that the training text
# never had falls back on its bytes, so nothing is ever lost.

# %%
sentence = "The owl said: 🙂"
ids = codec.encode(sentence)
print([codec.piece(token_id) for token_id in ids])
print(codec.decode(ids) == sentence)

# %% [markdown]
# A piece is not yet text. Replacing the mark `▁` by a space, as many a tutorial does, spells the emoji out
# as four strange words. And a stream of ids can stop in the middle of a character: the decoder holds the
# bytes back until the character is whole.

# %%
print("".join(codec.piece(token_id) for token_id in ids).replace("▁", " "))
decoder = codec.stream()
print([decoder.push(token_id) for token_id in ids])

# %% [markdown]
# ## How much does one id carry?
#
# More pieces make shorter sequences: more bytes per id *(task 1.6)*. They also make a larger table of
# embeddings, and each piece is seen less often. Every vocabulary is a bargain between the two.

# %%
for size in (300, 310, 320, 330, 340):
    trained = tokenizer.train(lines=TEXT.splitlines(), vocab_size=size)
    ids = trained.encode(TEXT)
    print(f"{trained.vocab_size} pieces: {len(ids)} ids, {len(TEXT.encode()) / len(ids):.2f} bytes per id")

# %% [markdown]
# These figures hold for the text that was learned. Another text is less lucky: what the training text never
# showed costs more ids.

# %%
for other in ("The owl sat on the wall.", "Quantum chromodynamics", "Der Wind weht über die Mauer."):
    ids = codec.encode(other)
    print(f"{len(other.encode()) / len(ids):.2f} bytes per id: {other}")

# %% [markdown]
# ## Your turn
#
# Fill in `exercise.py` from 1.1 to 1.6, and run `minilm lesson check` (or `pytest`) in this folder as often
# as you like. Task 1.5 is held against SentencePiece itself. Then ask yourself:
#
# - Why do two texts of the same number of words cost a different number of ids?
# - What would happen to " owl" if spaces were pieces of their own?
# - Which of your own words come out in the most parts, and why?
