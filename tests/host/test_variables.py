"""What the environment says of threads and jobs is used, or refused, or said not to be used."""

import pytest

from abx_amr.errors import InputError
from abx_amr.host.processors import available
from abx_amr.host.slurm_job import TimeLimit
from abx_amr.host.variables import VARIABLES, check_variables, whole_number_of

OURS = [name for name, variable in VARIABLES.items() if variable.is_ours]
OF_LIBRARIES = [name for name, variable in VARIABLES.items() if not variable.is_ours]


@pytest.mark.parametrize("text", ["two", "-1", "1.5", "٣", "4 cores", "1e2", "9" * 30])
@pytest.mark.parametrize("name", OURS)
def test_nonsense_that_would_decide_something_is_refused(name: str, text: str) -> None:
    with pytest.raises(InputError) as refused:
        check_variables({name: text})
    message = str(refused.value)
    assert message.startswith(f"the environment variable {name} must be {VARIABLES[name].right}")
    assert message.endswith(f": unset {name}")


@pytest.mark.parametrize("name", OF_LIBRARIES)
def test_nonsense_that_a_library_passes_over_is_said(name: str) -> None:
    (line,) = check_variables({name: "soon"})
    assert line.startswith(f"the environment variable {name} must be ")
    assert line.endswith("got 'soon': it is not used")


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "SLURM_CPUS_PER_TASK"])
def test_no_thread_at_all_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} must be a whole number of at least 1, got '0'"):
        check_variables({name: "0"})


def test_what_fits_or_is_empty_is_no_news() -> None:
    assert check_variables({}) == check_variables(dict.fromkeys(VARIABLES, "")) == []
    assert check_variables(dict.fromkeys(VARIABLES, "1")) == []
    assert check_variables({"OMP_NUM_THREADS": " 4, 2 ", "MKL_NUM_THREADS": "2,1"}) == []


def test_of_threads_for_nested_levels_the_outer_ones_count() -> None:
    assert whole_number_of("OMP_NUM_THREADS", {"OMP_NUM_THREADS": "4,2"}) == 4


def test_processors_are_not_guessed_where_the_user_has_said_nonsense(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "all")
    with pytest.raises(InputError, match=r"OMP_NUM_THREADS .* got 'all'"):
        available()


@pytest.mark.parametrize("text", ["soon", "²", "N/A"])
def test_an_end_that_is_no_time_limits_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", text)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert TimeLimit().remaining_seconds() is None
