"""Which worker this is: torchrun's environment, and every row read by exactly one."""

import pytest

from minilm.backends.processes import Worker, this_worker
from minilm.errors import MinilmError


def test_without_torchrun_it_is_the_only_one_and_leads():
    assert this_worker({}) == Worker(0, 1, 0)
    assert this_worker({}).leads


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_every_row_is_read_by_one_worker(size, count):
    rows = [row for rank in range(size) for row in range(count)[Worker(rank, size).rows(count)]]
    assert rows == list(range(count))


@pytest.mark.parametrize("told", [{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "first"}, {"WORLD_SIZE": "-1"}])
def test_an_environment_that_makes_no_sense_is_one_line(told):
    with pytest.raises(MinilmError, match="start with torchrun") as refused:
        this_worker(told)
    assert "\n" not in str(refused.value)
