"""A study's trials as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abx_amr.studies.study import open_study

if TYPE_CHECKING:
    import pandas as pd

    from abx_amr.studies.storages import StudyStorage
    from abx_amr.studies.study import StudyPlan


def trials_table(plan: StudyPlan, storage: StudyStorage) -> pd.DataFrame:
    """Return one row per trial: number, value (nan where there is none), state."""
    import pandas as pd

    backend, study_id = open_study(plan, storage)
    trials = backend.get_all_trials(study_id, deepcopy=False)
    return pd.DataFrame(
        {
            "number": [t.number for t in trials],
            "value": [t.values[0] if t.values else float("nan") for t in trials],
            "state": [t.state.name for t in trials],
        }
    )
