"""A trial that is drawn in memory and stored as a whole.

Drawn in the storage, a point of eight values costs some sixty exchanges with a database, all of
them inside the critical section in which every other worker waits. So a sampler is shown the
storage with one more trial, which lies here; it enters the storage in one piece, with its owner.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial, TrialState

    from abx_amr.studies.search_space import SearchSpace

DRAFT_ID = -1
#: Where Optuna's `enqueue_trial` keeps what is asked for.
FIXED = "fixed_params"


def draw(
    backend: BaseStorage,
    study_id: int,
    trials: Sequence[FrozenTrial],
    *,
    sampler: BaseSampler,
    space: SearchSpace,
    fixed: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """Return a running trial with a value for everything in `space`; it is stored nowhere yet.

    Args:
        backend: where the study is.
        study_id: the study, there.
        trials: those of its trials that are its own, none of them waiting.
        sampler: what draws, as it would from the storage.
        space: what to draw.
        fixed: values that are given, as of a trial that Optuna has enqueued.
    """
    import optuna

    draft = _Draft(backend, study_id, trials, fixed)
    study = optuna.load_study(
        study_name=backend.get_study_name_from_id(study_id),
        storage=draft,  # type: ignore[arg-type]
        sampler=sampler,
        pruner=optuna.pruners.NopPruner(),
    )
    ask(study, space)
    assert draft.trial is not None
    return draft.trial


def ask(study: Study, space: SearchSpace) -> Trial:
    """Return a trial of Optuna's with a value for all that counts in `space`."""
    trial = study.ask()
    params: dict[str, Any] = {}
    for name, distribution in space.items():
        if space.counts(name, space.point(params)):
            params[name] = trial._suggest(name, distribution)
    return trial


class _Draft:
    """Optuna's storage with one more trial; what is not about that trial goes to the storage."""

    def __init__(
        self,
        backend: BaseStorage,
        study_id: int,
        trials: Sequence[FrozenTrial],
        fixed: Mapping[str, Any] | None,
    ) -> None:
        self._backend = backend
        self._study_id = study_id
        self._trials = trials
        self._fixed = fixed
        self.trial: FrozenTrial | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._study_id

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        from optuna.trial import TrialState, create_trial

        assert template_trial is None
        given = None if self._fixed is None else {FIXED: dict(self._fixed)}
        self.trial = create_trial(state=TrialState.RUNNING, system_attrs=given)
        self.trial.number = len(self._trials)
        self.trial._trial_id = DRAFT_ID
        return DRAFT_ID

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return copy.deepcopy(self._draft_of(trial_id)) or self._backend.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return self.get_trial(trial_id).system_attrs

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        both = [*self._trials, *([self.trial] if self.trial is not None else [])]
        found = [trial for trial in both if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        draft = self._draft_of(trial_id)
        assert draft is not None
        draft.params[param_name] = distribution.to_external_repr(param_value_internal)
        draft.distributions[param_name] = distribution

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        draft = self._draft_of(trial_id)
        if draft is None:
            self._backend.set_trial_system_attr(trial_id, key, value)
        else:
            draft.system_attrs[key] = value

    def _draft_of(self, trial_id: int) -> FrozenTrial | None:
        return self.trial if trial_id == DRAFT_ID else None
