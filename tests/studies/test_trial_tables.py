"""Trials written with few statements are those that Optuna writes with many."""

import math
import pickle
from contextlib import contextmanager

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState, create_trial
from sqlalchemy import text

from abx_amr.studies.changes import TrialChanges, write_study, write_trial
from abx_amr.studies.storages import JournalStorage, PostgresStorage, SqliteStorage

SPACE = {
    "agent_algorithm.x": FloatDistribution(-1.0, 1.0),
    "agent_algorithm.rate": FloatDistribution(1e-5, 1e-2, log=True),
    "agent_algorithm.n": IntDistribution(1, 9, step=2),
    "agent_algorithm.mode": CategoricalDistribution(["flat", None, 3, True]),
}
POINT = {
    "agent_algorithm.rate": 3e-4,
    "agent_algorithm.x": 0.1 + 0.2,
    "agent_algorithm.n": 7,
    "agent_algorithm.mode": None,
}
ATTRIBUTES = {"owner": {"pid": 1, "host": "ü"}, "lineage": 3, "seeds": [1, None, {"a": 0.1}]}


def given(state, *, value=None, values=None, steps=None):
    if state is TrialState.WAITING:
        return create_trial(state=state, user_attrs=ATTRIBUTES)
    return create_trial(
        state=state,
        value=value,
        values=values,
        params=POINT,
        distributions={name: SPACE[name] for name in POINT},
        user_attrs=ATTRIBUTES,
        system_attrs={"abx:heartbeat": [3, "2026-01-01"]},
        intermediate_values=steps or {},
    )


def trials_given():
    return [
        given(TrialState.RUNNING),
        given(TrialState.COMPLETE, value=0.1 + 0.2),
        given(TrialState.WAITING),
        given(TrialState.COMPLETE, value=-math.inf),
        given(TrialState.PRUNED, steps={2: math.inf, 1: -3.5, 12: math.nan}),
        given(TrialState.FAIL),
    ]


@pytest.fixture(params=["sqlite", "postgres"])
def relational(request, tmp_path):
    if request.param == "sqlite":
        return SqliteStorage(path=tmp_path / "study.db")
    request.getfixturevalue("postgres")
    return PostgresStorage()


def make_study(storage):
    backend = storage.open()
    return backend, backend.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "study")


@contextmanager
def optunas_own(storage):
    """Give the storage that Optuna itself would open at the same place."""
    held = storage.open()._backend
    own = RDBStorage(held.url, engine_kwargs=held.engine_kwargs, skip_table_creation=True)
    yield own
    own.remove_session()
    own.engine.dispose()


def rows_of(backend, trial_id):
    """All rows of a trial without the numbers that tell rows and trials apart."""
    found = {}
    with backend.engine.connect() as connection:
        for table in (
            "trials",
            "trial_params",
            "trial_user_attributes",
            "trial_system_attributes",
            "trial_values",
            "trial_intermediate_values",
        ):
            query = f"SELECT * FROM {table} WHERE trial_id = {trial_id}"
            rows = [dict(row._mapping) for row in connection.execute(text(query))]
            keys = [k for k in rows[0] if not k.endswith("_id") and k != "number"] if rows else []
            found[table] = sorted(repr([row[key] for key in keys]) for row in rows)
    return found


def shown(trial):
    """All of a trial as text; Optuna reads attributes in any order, parameters as drawn."""
    unordered = ("user_attrs", "system_attrs", "intermediate_values")
    return repr(
        {
            name: sorted(value.items()) if name.lstrip("_") in unordered else value
            for name, value in vars(trial).items()
        }
    )


def all_of(backend, study_id):
    return [shown(trial) for trial in backend.get_all_trials(study_id)]


def test_a_trial_is_stored_in_the_rows_that_optuna_writes(relational):
    backend, study_id = make_study(relational)
    with optunas_own(relational) as own:
        for trial in trials_given():
            ours = backend.create_new_trial(study_id, template_trial=trial)
            theirs = own.create_new_trial(study_id, template_trial=trial)
            assert rows_of(own, ours) == rows_of(own, theirs)


def test_a_trial_is_read_as_optuna_reads_it(relational):
    backend, study_id = make_study(relational)
    for trial in trials_given():
        backend.create_new_trial(study_id, template_trial=trial)
    with optunas_own(relational) as own:
        told = all_of(own, study_id)
        elsewhere = pickle.loads(pickle.dumps(relational))  # it has written and read nothing
        stranger = elsewhere.open()
        for one in (backend, stranger):
            assert all_of(one, study_id) == told
            assert shown(one.get_trial(1)) == shown(own.get_trial(1))
            assert one.get_trial_number_from_id(3) == own.get_trial_number_from_id(3)
        with pytest.raises(KeyError):
            stranger.get_trial(99)
        with pytest.raises(KeyError):
            stranger.get_all_trials(study_id + 1)


def test_what_optuna_changes_is_read_and_what_we_change_optuna_reads(relational):
    backend, study_id = make_study(relational)
    with optunas_own(relational) as own:
        mine, other = (
            backend.create_new_trial(study_id, template_trial=given(TrialState.RUNNING))
            for _ in range(2)
        )
        backend.get_all_trials(study_id)
        own.set_trial_user_attr(mine, "lineage", 8)
        own.set_trial_system_attr(mine, "abx:heartbeat", [4, "2026-01-02"])
        own.set_trial_state_values(mine, TrialState.COMPLETE, [0.5])
        changes = TrialChanges(
            user_attrs={"lineage": 9, "more": []},
            system_attrs={"abx:heartbeat": [5, "2026-01-03"]},
            intermediate_values={4: -math.inf},
            state=TrialState.PRUNED,
            values=[math.inf],
        )
        write_trial(backend, other, changes)
        assert all_of(backend, study_id) == all_of(own, study_id)
        assert own.get_trial(other).values == [math.inf]
        assert own.get_trial(other).user_attrs == {**ATTRIBUTES, "lineage": 9, "more": []}


def test_a_parameter_from_another_range_is_refused_as_optuna_refuses_it(relational):
    backend, study_id = make_study(relational)
    backend.create_new_trial(study_id, template_trial=given(TrialState.RUNNING))
    backend.get_all_trials(study_id)
    name = "agent_algorithm.mode"
    other = create_trial(
        state=TrialState.RUNNING,
        params={name: "b"},
        distributions={name: CategoricalDistribution(["a", "b"])},
    )
    with pytest.raises(ValueError, match="CategoricalDistribution"):
        backend.create_new_trial(study_id, template_trial=other)
    assert len(backend.get_all_trials(study_id)) == 1


# -- in every storage -------------------------------------------------------------------------


@pytest.mark.parametrize("state", [None, TrialState.COMPLETE])
def test_changes_of_a_finished_trial_are_refused_and_nothing_of_them_is_written(storage, state):
    backend, study_id = make_study(storage)
    ended = backend.create_new_trial(study_id, template_trial=given(TrialState.FAIL))
    before = repr(backend.get_trial(ended))
    changes = TrialChanges(user_attrs={"more": 1, "again": 2}, state=state)
    with pytest.raises(UpdateFinishedTrialError):
        write_trial(backend, ended, changes)
    with pytest.raises(KeyError):
        write_trial(backend, 99, changes)
    assert repr(backend.get_trial(ended)) == before


def test_attributes_of_a_study_are_written_as_one_by_one(storage):
    backend, study_id = make_study(storage)
    backend.set_study_user_attr(study_id, "before", [1])
    backend.set_study_user_attr(study_id, "kept", "ü")
    write_study(backend, study_id, {"before": {"a": None}, "new": 0.1 + 0.2})
    write_study(backend, study_id, {})
    expected = {"before": {"a": None}, "kept": "ü", "new": 0.1 + 0.2}
    assert backend.get_study_user_attrs(study_id) == expected
    elsewhere = pickle.loads(pickle.dumps(storage)).open()
    assert elsewhere.get_study_user_attrs(study_id) == expected
    with pytest.raises(KeyError):
        write_study(backend, study_id + 9, {"new": 1})


def test_changes_that_come_after_another_process_has_ended_the_trial_are_refused_once(
    tmp_path, monkeypatch
):
    """In a journal the other's record may lie before ours, unread; every one of ours is refused."""
    storage = JournalStorage(path=tmp_path / "journal.log")
    backend, study_id = make_study(storage)
    running = backend.create_new_trial(study_id, template_trial=given(TrialState.RUNNING))
    elsewhere = pickle.loads(pickle.dumps(storage))
    other = elsewhere.open()
    append = backend._backend.append_logs

    def late(records):
        monkeypatch.setattr(backend._backend, "append_logs", append)
        other.set_trial_state_values(running, TrialState.FAIL)
        append(records)

    monkeypatch.setattr(backend._backend, "append_logs", late)
    changes = TrialChanges(
        user_attrs={"more": 1, "again": 2}, state=TrialState.COMPLETE, values=[1.0]
    )
    with pytest.raises(UpdateFinishedTrialError):
        write_trial(backend, running, changes)
    assert backend.get_trial(running).state is TrialState.FAIL
    assert backend.get_trial(running).user_attrs == ATTRIBUTES
    again = backend.create_new_trial(study_id, template_trial=given(TrialState.RUNNING))
    write_trial(backend, again, changes)
    assert other.get_trial(again).values == [1.0]
