"""The one-page programs and the package agree: ids, norms, cosines, logits, probabilities, draws and text."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import minilm
from minilm import weights as canonical
from tokenizer import Tokenizer

LESSONS = Path(__file__).resolve().parents[2] / "lessons"
STAGES = "Temperature(0.8) TopK(40) TopP(0.9)"
PROMPTS = ["Ada found a boat", "Mia gave 🙂 to", "B"]
FRAMEWORKS = ["torch", "tensorflow"]


@pytest.fixture(scope="module", params=FRAMEWORKS)
def framework(request) -> str:
    pytest.importorskip(request.param)
    return request.param


def loaded(framework: str) -> ModuleType:
    path = LESSONS / f"one_page_{framework}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(framework) -> ModuleType:
    return loaded(framework)


@pytest.fixture(scope="module")
def trained(page):
    """The page's tokenizer and its model after one round of training."""
    sp = page.train_tokenizer(page.LINES)
    model = page.LanguageModel(len(sp))
    losses = list(page.train(model, sp, page.LINES, epochs=2))
    assert losses[-1] < losses[0] - 1
    return sp, model


@pytest.fixture(scope="module")
def package(framework, trained):
    """The package's NumPy model with the page's weights, and its tokenizer with the page's vocabulary."""
    sp, model = trained
    config = minilm.ModelConfig(len(sp), embedding_size=32, hidden_size=64)
    copied = _from_torch(model) if framework == "torch" else _from_keras(model, config)
    return minilm.create("numpy", config, weights=copied), Tokenizer(sp.serialized_model_proto())


def _from_torch(model):
    arrays = {name: array.numpy() for name, array in model.state_dict().items()}
    return {
        "embedding": arrays["embedding.weight"],
        "lstm.0.kernel": arrays["lstm.weight_ih_l0"].T,
        "lstm.0.recurrent": arrays["lstm.weight_hh_l0"].T,
        "lstm.0.bias": arrays["lstm.bias_ih_l0"] + arrays["lstm.bias_hh_l0"],
        "head.kernel": arrays["head.weight"].T,
        "head.bias": arrays["head.bias"],
    }


def _from_keras(model, config):
    layers = (model.embedding, model.lstm, model.head)
    return dict(
        zip(
            canonical.weight_shapes(config), (w for layer in layers for w in layer.get_weights()), strict=True
        )
    )


@pytest.mark.parametrize("prompt", PROMPTS)
def test_page_and_package_show_the_same_steps(page, trained, package, prompt):
    sp, model = trained
    settings = {"max_tokens": 10, "top": len(sp)}
    ours = list(minilm.stream(*package, prompt, STAGES, seed=3, **settings))
    draws = iter([step.decision.u for step in ours])
    theirs = list(page.stream(model, sp, prompt, draw=lambda: next(draws), limit=len(ours)))
    assert len(theirs) == len(ours) > 1
    for step, shown in zip(ours, theirs, strict=True):
        assert (step.id, step.decision.chosen.id) == (shown["read"], shown["chosen"])
        vector = np.asarray(shown["embedding"])
        assert step.embedding.shape == vector.shape
        np.testing.assert_array_equal(step.embedding.vector, vector)
        assert step.embedding.norm == pytest.approx(np.linalg.norm(vector), rel=1e-6)
        assert step.embedding.cosine == pytest.approx(shown["cosine"], abs=1e-6)
        by_id = sorted(step.decision.candidates, key=lambda candidate: candidate.id)
        np.testing.assert_allclose([c.logit for c in by_id], np.asarray(shown["logits"]), atol=2e-5)
        np.testing.assert_allclose([c.p_final for c in by_id], np.asarray(shown["final"]), atol=1e-5)
    assert prompt + "".join(step.new_text for step in ours) == theirs[-1]["text"]


def test_the_whole_prompt_reaches_the_model(page, trained):
    sp, model = trained
    ada, mia = (next(page.stream(model, sp, f"{name} found a boat", lambda: 0.5)) for name in ("Ada", "Mia"))
    assert ada["read"] == mia["read"]
    assert np.abs(np.asarray(ada["logits"]) - np.asarray(mia["logits"])).max() > 0.01


def test_a_draw_of_zero_falls_on_no_token_that_was_ruled_out(page, trained):
    sp, model = trained
    step = next(page.stream(model, sp, "Ada found a boat", lambda: 0.0))
    assert step["final"][0] == 0
    assert step["final"][step["chosen"]] > 0


def test_generation_ends_with_the_text_or_at_the_limit(page, trained):
    sp, model = trained
    steps = list(page.stream(model, sp, "Ada found a boat", lambda: 0.5, limit=60, top_k=1))
    assert len(steps) == 60 or steps[-1]["chosen"] == page.EOS
    assert list(page.stream(model, sp, "Ada", lambda: 0.5, limit=0)) == []


@pytest.mark.parametrize(("mass", "kept"), [(0.49, [0]), (0.51, [0, 1]), (0.79, [0, 1]), (0.81, [0, 1, 2])])
def test_top_p_on_the_page_keeps_the_crossing_token(page, framework, mass, kept):
    p = _shaped(page, framework, np.log([0.5, 0.3, 0.2]), temperature=1.0, top_p=mass)
    assert np.flatnonzero(p).tolist() == kept
    assert p.sum() == pytest.approx(1)


def test_top_k_on_the_page_keeps_ties(page, framework):
    p = _shaped(page, framework, [3.0, 2.0, 2.0, 1.0], temperature=1.0, top_k=2, top_p=1.0)
    assert np.flatnonzero(p).tolist() == [0, 1, 2]


def _shaped(page, framework, logits, **knobs):
    make = page.torch.tensor if framework == "torch" else page.tf.constant
    return np.asarray(page.shape_probabilities(make(np.asarray(logits, "float32")), **knobs))


def test_padding_does_not_count_in_the_loss_on_the_page(page, framework, trained):
    sp, model = trained
    texts = ["Ada found a boat by the river. Bo", "Mia"]
    package_loss = _mean_loss(framework, model, sp, texts)
    assert next(page.train(model, sp, texts, epochs=1, batch=2, rate=0.0)) == pytest.approx(
        package_loss, abs=1e-5
    )


def _mean_loss(framework, model, sp, texts):
    """Nats per token, one text at a time, so that nothing is padded."""
    config = minilm.ModelConfig(len(sp), embedding_size=32, hidden_size=64)
    copied = _from_torch(model) if framework == "torch" else _from_keras(model, config)
    reader, losses = minilm.create("numpy", config, weights=copied), []
    for text in texts:
        ids = np.array([[2, *sp.encode(text), 3]])
        losses.extend(reader.losses(ids[:, :-1], ids[:, 1:], np.ones_like(ids[:, 1:])).ravel())
    return np.mean(losses)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_page_has_at_most_a_hundred_lines_and_knows_nothing_of_minilm(framework):
    source = (LESSONS / f"one_page_{framework}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 100
    names = {node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    names |= {
        a.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for a in node.names
    }
    assert not [name for name in names if name.startswith(("minilm", "tokenizer"))]


@pytest.mark.slow
@pytest.mark.parametrize(("framework", "kept"), [("torch", "model.pt"), ("tensorflow", "model.weights.h5")])
def test_a_page_runs_as_a_program_and_keeps_its_model(framework, kept, tmp_path):
    pytest.importorskip(framework)
    command = [sys.executable, "-X", "utf8", str(LESSONS / f"one_page_{framework}.py"), kept]
    run = subprocess.run(
        command, capture_output=True, encoding="utf-8", cwd=tmp_path, env=os.environ.copy(), check=True
    )
    assert run.stdout.startswith("nats per token: 5.")
    assert run.stdout.count("drew") == 12
    assert (tmp_path / kept).stat().st_size > 100_000
