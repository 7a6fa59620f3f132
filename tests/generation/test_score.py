"""The score of a given text: torch's cross entropy over transformers' own logits is the oracle."""

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

from minilm import backends
from minilm.cli import command as minilm
from minilm.errors import MinilmError
from minilm.faces.plots import plot_surprisal
from minilm.faces.scores import score_table, score_total
from minilm.generation import score as score_module
from minilm.generation.score import score, total
from minilm.records import ModelConfig

TEXT = "the little fox, größer 中 than the river " * 8


def scored(model, codec, text, **options):
    return list(score(model, codec, text, **options))


def test_surprisal_equals_torch_cross_entropy(codec):
    torch = pytest.importorskip("torch")
    model = backends.create("numpy", ModelConfig(260, 16, 24, seed=3), "float64")
    ids = codec.encode(TEXT, special=True)
    logits = torch.tensor(model.read(ids, rows="all").logits[:-1])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none")
    tokens = scored(model, codec, TEXT)
    assert len(tokens) == len(ids) > 300  # more than two chunks
    assert [t.surprisal for t in tokens[1:]] == pytest.approx(expected.tolist(), abs=1e-5)
    assert total(tokens).per_token == pytest.approx(expected.mean().exp().item(), rel=1e-6)
    order = (logits > logits.gather(1, torch.tensor(ids[1:])[:, None])).sum(1) + 1
    assert [t.rank for t in tokens[1:]] == order.tolist()


def test_the_first_token_has_nothing_before_it(model, codec):
    first, second = scored(model, codec, [7, 8])
    assert (first.surprisal, first.rank, first.entropy, first.candidates) == (None, None, None, ())
    assert (second.context, second.surprisal is None) == (1, False)


def test_the_token_itself_is_always_among_the_candidates(model, codec):
    for token in scored(model, codec, TEXT, top=2)[1:]:
        found = {c.id: c for c in token.candidates}
        assert [c.rank for c in token.candidates[:2]] == [1, 2]
        assert found[token.id].rank == token.rank
        assert found[token.id].logp_model == pytest.approx(-token.surprisal)


def test_perplexity_per_byte_counts_the_bytes_of_the_text(model, codec):
    sums = total(scored(model, codec, TEXT))
    assert sums.bytes == len(TEXT.encode())
    assert sums.per_byte == pytest.approx(math.exp(sums.surprisal / len(TEXT.encode())))


def test_a_text_longer_than_the_context_is_read_in_windows_that_overlap_by_half(codec):
    """A token is scored after its window's tokens alone: half a window or more, once the first is full."""
    whole = backends.create("numpy", ModelConfig(260, 16, 24, seed=3), "float64")

    class Short:
        def __init__(self):
            self.name, self.vocab_size, self.embedding_size, self.context_size = "short", 260, 16, 10

        def read(self, ids, state=None, **options):
            before = () if state is None else state
            assert len(before) + len(ids) <= 10
            reading = whole.read([*before, *ids], **options)
            rows = reading.logits[-len(ids) :] if options.get("rows") == "all" else reading.logits
            return type(reading)(rows, reading.embeddings[-len(ids) :], (*before, *ids))

    ids = codec.encode(TEXT[:60])
    tokens = scored(Short(), codec, ids)
    assert [t.id for t in tokens] == ids
    assert [t.context for t in tokens[:13]] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 6, 7]
    for token in tokens[1:]:
        seen = ids[token.position - token.context : token.position]
        logits = whole.read(seen).logits[-1]
        logp = logits - np.log(np.exp(logits).sum())
        assert token.surprisal == pytest.approx(-logp[token.id], abs=1e-5)


@pytest.mark.parametrize("text", ["", []])
def test_no_text_is_refused(model, codec, text):
    with pytest.raises(MinilmError, match="nothing to score"):
        score(model, codec, text)


def test_ids_outside_the_vocabulary_and_no_candidates_are_refused(model, codec):
    with pytest.raises(MinilmError, match="Id 260"):
        score(model, codec, [1, 260])
    with pytest.raises(MinilmError, match="1 or more, got 0"):
        score(model, codec, "a", top=0)


def test_a_single_token_has_no_perplexity(model, codec):
    sums = total(scored(model, codec, [5]))
    assert (sums.tokens, sums.per_token, sums.per_byte) == (0, None, None)
    assert "nothing was expected" in score_total(sums)


def test_the_table_and_the_picture_show_every_token_and_nothing_raw(model, codec):
    tokens = scored(model, codec, "a\x1b[31m\n中")
    table = score_table(tokens)
    assert len(table.splitlines()) == len(tokens) + 1
    assert "\x1b" not in table
    assert all(len(line) <= 100 for line in table.splitlines())
    assert plot_surprisal(tokens).alt.startswith(f"Surprisal of {len(tokens) - 1} tokens")


@pytest.mark.real_data
def test_the_command_equals_transformers_loss(real_data, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = real_data / "models" / "stories260K"
    text = "Once upon a time there was a little fox who ran to the river. " * 12 + "The end."
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    arguments = ["score", "--file", str(tmp_path / "text.txt"), "--model", f"hf:{folder}"]
    result = CliRunner().invoke(minilm, [*arguments, "--json", "--plot", str(tmp_path / "s.png")])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    net = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    ids = torch.tensor([[line["id"] for line in lines[:-1]]])
    with torch.no_grad():
        loss = net(input_ids=ids, labels=ids).loss.item()
    assert lines[-1]["end"]["per_token"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert lines[-1]["end"]["bytes"] == len(text.encode())
    assert (tmp_path / "s.png").stat().st_size > 1000
    summary = CliRunner().invoke(minilm, [*arguments, "--summary"])
    assert f"perplexity {lines[-1]['end']['per_token']:.4g} per token" in summary.stdout


@pytest.mark.parametrize("arguments", [[], ["text", "--file", "x"]])
def test_the_command_takes_a_text_or_a_file(arguments):
    result = CliRunner().invoke(minilm, ["score", *arguments])
    assert "one of the two" in str(result.exception)


def test_a_long_text_copies_no_context(codec, monkeypatch):
    """The context of every token is a view of one array, so the time does not grow with the text's square."""
    bases, real = set(), score_module.decide

    def look(logits, context, *rest, **options):
        bases.add(id(context.ids.base))
        return real(logits, context, *rest, **options)

    monkeypatch.setattr(score_module, "decide", look)
    scored(backends.create("numpy", ModelConfig(260, 4, 4)), codec, TEXT)
    assert len(bases) == 1
    assert id(None) not in bases
