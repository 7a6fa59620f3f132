"""The whole path on one page, in TensorFlow: text, ids, embeddings, an LSTM, and every token explained.

Run: python one_page_tensorflow.py. Letters of shapes: B batch, T time, V vocabulary, E embedding."""

import io
import sys
from itertools import permutations, product

import sentencepiece as spm
import tensorflow as tf
from tensorflow import keras

STORIES = product(permutations(("Ada", "Bo", "Mia"), 2), ("kite", "boat", "key"), ("river", "hill", "garden"))
LINES = [f"{a} found a {thing} by the {p}. {a} gave the {thing} to {b}." for (a, b), thing, p in STORIES]
PAD, UNK, BOS, EOS = range(4)


def train_tokenizer(lines, vocab_size=320):
    """SentencePiece BPE that loses nothing: no text is normalised, a rare character becomes its bytes."""
    options = {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity"}
    options |= {"remove_extra_whitespaces": False, "num_threads": 1, "minloglevel": 2}
    options |= {"pad_id": PAD, "unk_id": UNK, "bos_id": BOS, "eos_id": EOS, "vocab_size": vocab_size}
    file = io.BytesIO()
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=file, **options)
    return spm.SentencePieceProcessor(model_proto=file.getvalue())


class LanguageModel(keras.Model):
    """Ids (B, T) to the logits of what comes next (B, T, V), the state after them, embeddings (B, T, E)."""

    def __init__(self, vocab_size, embedding_size=32, hidden_size=64):
        super().__init__()
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.embedding = keras.layers.Embedding(vocab_size, embedding_size, normal)
        self.lstm = keras.layers.LSTM(hidden_size, return_sequences=True, return_state=True)
        self.head = keras.layers.Dense(vocab_size)
        self(tf.constant([[BOS]]))  # Keras makes the weights at the first reading

    @tf.function(reduce_retracing=True)
    def call(self, ids, state=None):
        embeddings = self.embedding(ids)
        outputs, *state = self.lstm(embeddings, initial_state=state)
        return self.head(outputs), state, embeddings


def train(model, sp, lines, epochs=10, batch=9, rate=0.01):
    """Learn to predict each next token; yields the loss of every batch in nats per token, without padding."""
    texts = tf.ragged.constant([[BOS, *sp.encode(line), EOS] for line in lines]).to_tensor(PAD)  # (all, T)
    optimizer = keras.optimizers.Adam(rate)
    for ids in tf.data.Dataset.from_tensor_slices(texts).shuffle(len(lines)).batch(batch).repeat(epochs):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], model(ids[:, :-1])[0])
            loss = tf.reduce_mean(losses[ids[:, 1:] != PAD])
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        yield float(loss)


def shape_probabilities(logits, temperature=0.8, top_k=40, top_p=0.9):
    """Logits (V,) to probabilities (V,): top-k keeps ties, top-p keeps the token that crosses it."""
    scores = logits / temperature
    least = tf.math.top_k(scores, min(top_k, len(scores))).values[-1]
    scores = tf.where(scores < least, -float("inf"), scores)
    best, ids = tf.math.top_k(tf.nn.softmax(scores), len(scores))
    kept = ids[tf.cumsum(best, exclusive=True) < top_p]
    return tf.scatter_nd(kept[:, None], tf.nn.softmax(tf.gather(scores, kept)), scores.shape)


def stream(model, sp, prompt, draw, limit=12, **knobs):
    """Read the whole prompt, then token by token; yields all that a step saw. draw() gives u in [0, 1)."""
    ids = unread = [BOS, *sp.encode(prompt)]
    seen, state = tf.zeros((1, model.embedding.output_dim)), [tf.zeros((1, model.lstm.units))] * 2
    while limit > 0 and ids[-1] != EOS:
        logits, state, embeddings = model(tf.constant([unread]), state)
        logits, seen = logits[0, -1], tf.concat([seen, embeddings[0]], 0)  # (V,), (1 + tokens read, E)
        final, u = shape_probabilities(logits, **knobs), draw()
        chosen = int(final.numpy().cumsum(dtype="float64").searchsorted(u, side="right"))
        cosine = -float(keras.losses.cosine_similarity(seen[-2], seen[-1]))  # 0 for the first token of all
        step = {"read": ids[-1], "embedding": seen[-1], "cosine": cosine, "logits": logits, "final": final}
        ids, unread, limit = [*ids, chosen], [chosen], limit - 1
        yield step | {"u": u, "chosen": chosen, "text": sp.decode(ids)}


def show(sp, read, embedding, cosine, logits, final, u, chosen, text, best=3):
    """One step as text: what was read, the likeliest tokens, and where the draw fell."""
    print(f"read {read} {sp.id_to_piece(read)!r}  embedding {tuple(embedding.shape)}", end=" ")
    print(f"norm {tf.norm(embedding):.2f} cosine {cosine:+.2f} {embedding[:3].numpy().round(2)}…")
    for p, i in zip(*tf.math.top_k(tf.nn.softmax(logits), best), strict=True):
        print(f"{i:6} {sp.id_to_piece(int(i))!r:10} logit {logits[i]:6.2f}  p {p:.3f} → {final[i]:.3f}")
    print(f"  drew {u:.3f}: {chosen} {sp.id_to_piece(chosen)!r}  |  {text}\n")


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    sp = train_tokenizer(LINES)
    model = LanguageModel(len(sp))
    print("nats per token:", *[round(loss, 2) for loss in train(model, sp, LINES)][::6])
    for step in stream(model, sp, "Ada found a boat", draw=lambda: float(tf.random.uniform(()))):
        show(sp, **step)
    for path in sys.argv[1:]:
        model.save_weights(path)  # a name that ends in .weights.h5
