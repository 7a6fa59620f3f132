"""The points plugin: what a run ends with, what a failure shows, and that it is silent elsewhere."""

import subprocess
import sys
from pathlib import Path

# pytester forgets modules that were first imported by a test that it runs here; NumPy cannot be loaded twice.
import numpy as np  # noqa: F401
import pytest

from minilm.grading.points import Result, score_line
from minilm.shadows import find_shadows

pytest_plugins = ["pytester"]

EXERCISE = """
def double(n):
    return helper(n)

def helper(n):
    return n + 1
"""
TEST = """
import pytest

@pytest.mark.points(3, task="2.1")
def test_one(minilm_exercise):
    secret_of_the_test = 1 + 1
    assert minilm_exercise.double(1) == secret_of_the_test

@pytest.mark.points(7, task="2.2")
def test_two(minilm_exercise):
    secret_of_the_test = check(minilm_exercise)

def check(exercise):
    assert exercise.double(5) == 10, "twice 5"
"""


@pytest.fixture
def lesson(pytester) -> pytest.Pytester:
    pytester.makepyfile(exercise=EXERCISE, test_exercise=TEST)
    return pytester


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:cacheprovider", *options)


def test_a_run_ends_with_points_and_the_next_task(lesson):
    assert run(lesson, "-q").outlines[-1] == "3/10 points; next: task 2.2"


def test_all_points_end_with_all_tasks_done(lesson):
    lesson.makepyfile(exercise="def double(n): return 2 * n")
    assert run(lesson).outlines[-1] == "10/10 points; all tasks done"


def test_a_failure_shows_the_message_and_no_line_of_the_test(lesson):
    output = run(lesson).stdout.str()
    assert "twice 5" in output
    assert "secret_of_the_test" not in output


def test_an_exception_shows_the_students_own_lines_and_no_others(lesson):
    lesson.makepyfile(exercise=EXERCISE.replace("n + 1", "n / 0"))
    output = run(lesson).stdout.str()
    assert "exercise.py:2: in double" in output
    assert "exercise.py:5: in helper\n    return n / 0\nZeroDivisionError: division by zero" in output
    assert "plugin.py" not in output
    assert "secret_of_the_test" not in output


def test_an_exception_inside_minilm_does_not_show_its_frames(lesson):
    lesson.makepyfile(exercise="import minilm\ndef double(n): return minilm.parse('Nonsense(')")
    output = run(lesson).stdout.str()
    assert "MinilmError" in output
    assert "sampling" not in output


def test_full_trace_shows_everything(lesson):
    assert "secret_of_the_test" in run(lesson, "--full-trace").stdout.str()


def test_a_syntax_error_is_one_line_with_its_place(lesson):
    lesson.makepyfile(exercise="def double(n):\n    return (n\n")
    result = run(lesson)
    result.stdout.fnmatch_lines(["*exercise.py, line 2, is not Python: '(' was never closed*"])
    assert result.outlines[-1] == "0/10 points; next: task 2.1"


def test_a_missing_exercise_is_named(lesson):
    (lesson.path / "exercise.py").unlink()
    run(lesson).stdout.fnmatch_lines(["*exercise.py is missing in *"])


def test_a_skipped_task_is_left_out_and_said(lesson):
    skip = "pytest.importorskip('no_such_framework')"
    lesson.makepyfile(test_exercise=TEST.replace("secret_of_the_test = check(minilm_exercise)", skip))
    assert run(lesson).outlines[-1] == "3/3 points; all tasks done; 7 points could not be graded here"


def test_tests_that_never_ran_are_still_to_do(lesson):
    lesson.makepyfile(exercise="def double(n): return 0")
    assert run(lesson, "-x").outlines[-1] == "0/10 points; next: task 2.1"


def test_a_failing_clean_up_earns_nothing(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def place():
            yield
            raise OSError("not cleaned up")

        @pytest.mark.points(1, task="1")
        def test_it(place):
            pass
        """
    )
    assert run(pytester).outlines[-1] == "0/1 points; next: task 1"


def test_workers_send_their_points_home(lesson):
    result = lesson.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")
    assert result.outlines[-1] == "3/10 points; next: task 2.2"


def test_a_run_without_points_says_nothing_and_cuts_nothing(pytester):
    pytester.makepyfile("def test_it():\n    own_line = 1\n    assert own_line == 2\n", tokenizer="")
    result = run(pytester)
    assert result.outlines[-1].startswith("=")  # pytest's own last line
    assert "own_line = 1" in result.stdout.str()


def test_an_unmarked_test_beside_graded_ones_counts_nothing(lesson):
    lesson.makepyfile(test_more="def test_more(): assert False")
    assert run(lesson).outlines[-1] == "3/10 points; next: task 2.2"


@pytest.mark.parametrize("name", ["tokenizer", "minilm"])
def test_a_file_that_hides_ours_is_named_with_what_to_do(lesson, name):
    lesson.makepyfile(**{name: ""})
    result = run(lesson)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    line = f"ERROR: {lesson.path / f'{name}.py'} hides the package {name}; *my_{name}.py"
    result.stderr.fnmatch_lines([line])


def test_a_folder_that_hides_ours_is_named_too(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "__init__.py").touch()
    assert [line.split(" hides ")[0] for line in find_shadows([tmp_path])] == [str(tmp_path / "tokenizer")]


def test_our_own_packages_hide_nothing():
    assert find_shadows([Path(__file__).resolve().parents[2]]) == []


def test_the_next_task_is_the_first_by_number_whatever_the_order():
    results = [Result(1, "2.10", "failed"), Result(1, "2.9", "failed"), Result(1, "2.1", "passed")]
    assert score_line(results) == "1/3 points; next: task 2.9"


def test_the_plugin_loads_nothing_but_itself():
    code = (
        "import sys, pytest; before = set(sys.modules); import minilm.grading.plugin;"
        "print(*sorted(set(sys.modules) - before - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["minilm", "minilm.frozen", "minilm.grading", "minilm.grading.plugin"]


def test_a_run_without_graded_tests_loads_nothing_more(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "minilm.grading.points" not in sys.modules
            assert "numpy" not in sys.modules
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == 0


@pytest.mark.parametrize(
    "arguments", ["4", "", "4, 'fast', 1", "task='2.1'", "'many', task='2.1'", "4, '1', team=2"]
)
def test_a_points_marker_of_another_project_is_left_alone(arguments, pytester):
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.points({arguments})
        def test_it():
            own_line = 1
            assert own_line == 2
        """
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    assert result.outlines[-1].startswith("=")
    assert "own_line = 1" in result.stdout.str()


def test_another_project_may_have_an_exercise_and_a_tokenizer(pytester):
    (pytester.path / "tests").mkdir()
    for name in ("exercise", "tokenizer"):
        (pytester.path / "tests" / f"{name}.py").touch()
    test = "import pytest, exercise, tokenizer\n@pytest.mark.points(4)\ndef test_it(): pass\n"
    (pytester.path / "tests" / "test_exercise.py").write_text(test)
    run(pytester, "tests").assert_outcomes(passed=1)


def test_a_fixture_called_exercise_is_the_other_projects_own(pytester):
    pytester.makepyfile("def test_it(exercise): pass")
    run(pytester).stdout.fnmatch_lines(["*fixture 'exercise' not found*"])
