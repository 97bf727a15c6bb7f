"""Study records: all that is stored on a trial or a study beside Optuna's own, read and written."""

from abx_amr.studies.records.finals import (
    DEFAULT,
    FinalAttributes,
    FinalClaim,
    FinalSize,
    FinalUnit,
    Point,
)
from abx_amr.studies.records.histories import WorkerHistory, workers_of
from abx_amr.studies.records.races import BudgetUnit, RaceRules, Rung
from abx_amr.studies.records.studies import Origin, StudyAttributes, StudyRecord
from abx_amr.studies.records.trials import (
    INTERRUPTED,
    STATES,
    Heartbeat,
    SeedRecord,
    TrialRecord,
    best_trial,
    comparable_trials,
    count_done,
    count_lineages,
)
from abx_amr.studies.records.workers import GRACE_INTERVALS, Worker

__all__ = [
    "DEFAULT",
    "GRACE_INTERVALS",
    "INTERRUPTED",
    "STATES",
    "BudgetUnit",
    "FinalAttributes",
    "FinalClaim",
    "FinalSize",
    "FinalUnit",
    "Heartbeat",
    "Origin",
    "Point",
    "RaceRules",
    "Rung",
    "SeedRecord",
    "StudyAttributes",
    "StudyRecord",
    "TrialRecord",
    "Worker",
    "WorkerHistory",
    "best_trial",
    "comparable_trials",
    "count_done",
    "count_lineages",
    "workers_of",
]
