"""The whole path on one page, in PyTorch: text, ids, embeddings, an LSTM, and every token explained.

Run: python one_page_torch.py. Letters of shapes: B batch, T time, V vocabulary, E embedding."""

import io
import sys
from itertools import permutations, product

import sentencepiece as spm
import torch
from torch import nn

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


class LanguageModel(nn.Module):
    """Ids (B, T) to the logits of what comes next (B, T, V), the state after them, embeddings (B, T, E)."""

    def __init__(self, vocab_size, embedding_size=32, hidden_size=64):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, vocab_size)

    def forward(self, ids, state=None):
        embeddings = self.embedding(ids)
        outputs, state = self.lstm(embeddings, state)
        return self.head(outputs), state, embeddings


def train(model, sp, lines, epochs=10, batch=9, rate=0.01):
    """Learn to predict each next token; yields the loss of every batch in nats per token, without padding."""
    texts = [torch.tensor([BOS, *sp.encode(line), EOS]) for line in lines]
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(epochs):
        for rows in torch.randperm(len(texts)).split(batch):
            ids = nn.utils.rnn.pad_sequence([texts[row] for row in rows], True, PAD)  # (B, T)
            logits = model(ids[:, :-1])[0]
            loss = nn.functional.cross_entropy(logits.mT, ids[:, 1:], ignore_index=PAD)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()


def shape_probabilities(logits, temperature=0.8, top_k=40, top_p=0.9):
    """Logits (V,) to probabilities (V,): top-k keeps ties, top-p keeps the token that crosses it."""
    scores = logits / temperature
    scores[scores < scores.topk(min(top_k, len(scores))).values[-1]] = -torch.inf
    best, ids = scores.softmax(-1).sort(descending=True, stable=True)
    scores[ids[best.cumsum(-1) - best >= top_p]] = -torch.inf
    return scores.softmax(-1)


@torch.inference_mode()
def stream(model, sp, prompt, draw, limit=12, **knobs):
    """Read the whole prompt, then token by token; yields all that a step saw. draw() gives u in [0, 1)."""
    ids = unread = [BOS, *sp.encode(prompt)]
    seen, state = torch.zeros(1, model.embedding.embedding_dim), None
    while limit > 0 and ids[-1] != EOS:
        logits, state, embeddings = model(torch.tensor([unread]), state)
        logits, seen = logits[0, -1], torch.cat([seen, embeddings[0]])  # (V,), (1 + tokens read, E)
        final, u = shape_probabilities(logits, **knobs), draw()
        chosen = int(torch.searchsorted(final.double().cumsum(0), u, right=True))
        cosine = torch.cosine_similarity(seen[-2], seen[-1], dim=0).item()  # 0 for the first token of all
        step = {"read": ids[-1], "embedding": seen[-1], "cosine": cosine, "logits": logits, "final": final}
        ids, unread, limit = [*ids, chosen], [chosen], limit - 1
        yield step | {"u": u, "chosen": chosen, "text": sp.decode(ids)}


def show(sp, read, embedding, cosine, logits, final, u, chosen, text, best=3):
    """One step as text: what was read, the likeliest tokens, and where the draw fell."""
    print(f"read {read} {sp.id_to_piece(read)!r}  embedding {tuple(embedding.shape)}", end=" ")
    print(f"norm {embedding.norm():.2f} cosine {cosine:+.2f} {embedding[:3].numpy().round(2)}…")
    for p, i in zip(*logits.softmax(-1).topk(best), strict=True):
        print(f"{i:6} {sp.id_to_piece(int(i))!r:10} logit {logits[i]:6.2f}  p {p:.3f} → {final[i]:.3f}")
    print(f"  drew {u:.3f}: {chosen} {sp.id_to_piece(chosen)!r}  |  {text}\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    sp = train_tokenizer(LINES)
    model = LanguageModel(len(sp))
    print("nats per token:", *[round(loss, 2) for loss in train(model, sp, LINES)][::6])
    for step in stream(model, sp, "Ada found a boat", draw=lambda: torch.rand(()).item()):
        show(sp, **step)
    if len(sys.argv) > 1:
        torch.save({"weights": model.state_dict(), "tokenizer": sp.serialized_model_proto()}, sys.argv[1])
