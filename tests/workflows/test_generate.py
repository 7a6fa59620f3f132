"""A generation that a user asks for: what ends it is watched, and a chat needs a template."""

import pytest

from minilm.errors import MinilmError
from minilm.generation.breakpoints import breakpoint_of, run_until
from minilm.workflows.open import Opened, has_chat_template, open_model


@pytest.fixture
def opened(model, codec):
    return Opened(model, codec, (3,))


def test_a_breakpoint_knows_the_probability_of_the_end_however_few_candidates_are_recorded(opened):
    conditions = [breakpoint_of("p_eos > 0")]
    cursor = opened.start("hello", seed=5, top=1, breakpoints=conditions)
    steps = run_until(conditions, cursor.steps(), opened.eos_ids)
    next(steps)
    with pytest.raises(StopIteration) as stopped:
        next(steps)
    assert stopped.value.value == (1, conditions[0])


def test_a_chat_without_a_template_is_refused(opened):
    assert not has_chat_template(opened.codec)
    with pytest.raises(MinilmError, match="--chat needs a chat template"):
        opened.start("hello", chat=True)


def test_a_template_that_refuses_a_short_question_is_one(codec):
    class Strict(type(codec)):
        def chat(self, messages):
            raise ValueError("a question must have ten letters")

    assert has_chat_template(Strict())


def test_an_empty_prompt_is_the_token_that_begins_a_text():
    opened = open_model()
    cursor = opened.start("")
    assert cursor.ids == (opened.codec.special_ids["bos"],)


def test_a_chat_takes_no_ids(opened):
    with pytest.raises(MinilmError, match="A chat takes the prompt as text, got ids"):
        opened.start([1, 2], chat=True)
