"""What was done to whom: the treatments given to each group of patients and to each risk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abx_amr.plots import canvas

NAME = "treatment_by_group"
READS = ("patients",)
CAPTION = "what was given to whom"
ORDER = 6

RISK = "observed_prob_infected"
NONE = "no_treatment"
_BANDS = 5  # of the observed risk, from 0 to 1
_NAME_WIDTH = 22


def is_worth_drawing(patients: pd.DataFrame) -> bool:
    """Return whether there are several groups, or an observed risk that differs."""
    return patients["group"].nunique() > 1 or _has_risks(patients)


def draw(patients: pd.DataFrame, *, title: str, groups: Sequence[str] = ()) -> Figure:
    """Return the shares of each group's patients, and of each risk's, who were given what.

    Args:
        patients: One row per (episode, step, patient): episode, treatment, group (an index), and
            observed_prob_infected where it is seen (patients.parquet).
        title: Says which run it is.
        groups: Names of the groups, by index.
    """
    canvas.require(patients, ["episode", "treatment", "group"])
    panels = [("group of patients", named_groups(patients["group"], groups))]
    if _has_risks(patients):
        panels.append(("observed probability of infection", risk_bands(patients[RISK])))
    panels = [(name, of) for name, of in panels if of.nunique() > 1] or panels[:1]
    most = max(of.nunique() for _, of in panels)
    figure, axes = canvas.blank(
        title,
        rows=len(panels),
        panel_height=1.0 + 0.34 * most,
        share_x=True,
        width=9.0,
    )
    treatments = treatments_of(patients)
    for axis, (name, of) in zip(axes, panels, strict=True):
        _bars(axis, patients, of, treatments)
        axis.set_ylabel(name, fontsize=9)
    axes[-1].set_xlabel("share of the group's patients")
    canvas.legend_beside(axes[0], "given")
    return figure


def treatments_of(patients: pd.DataFrame) -> list[str]:
    """Return the antibiotics in their order, then no treatment."""
    given = patients["treatment"]
    names = list(given.cat.categories) if hasattr(given, "cat") else sorted(given.unique())
    return [*(str(name) for name in names if name != NONE), NONE]


def named_groups(index: pd.Series, names: Sequence[str]) -> pd.Series:
    """Return each patient's group by name; by number where it has none."""
    known = {k: name for k, name in enumerate(names)}
    return index.map(lambda k: known.get(int(k), f"group {int(k) + 1}"))


def risk_bands(risk: pd.Series) -> pd.Series:
    """Return each patient's band of risk: fifths of [0, 1]; what lies outside is in the outer ones.

    >>> risk_bands(pd.Series([0.05, 0.5, 1.2])).tolist()
    ['0.0 to 0.2', '0.4 to 0.6', '0.8 to 1.0']
    """
    band = np.clip((risk.to_numpy(dtype=np.float64) * _BANDS).astype(np.int64), 0, _BANDS - 1)
    names = np.array([f"{k / _BANDS:.1f} to {(k + 1) / _BANDS:.1f}" for k in range(_BANDS)])
    return pd.Series(names[band], index=risk.index)


def shares_by(patients: pd.DataFrame, of: pd.Series, treatments: Sequence[str]) -> pd.DataFrame:
    """Return a row per group: the share who were given each treatment, and `patients`, how many."""
    counts = pd.crosstab(of, patients["treatment"].astype(str)).reindex(columns=list(treatments))
    counts = counts.fillna(0)
    total = counts.sum(axis=1)
    return counts.div(total, axis=0).assign(patients=total)


def _has_risks(patients: pd.DataFrame) -> bool:
    return RISK in patients and patients[RISK].nunique() > 1


def _bars(axis: Axes, patients: pd.DataFrame, of: pd.Series, treatments: Sequence[str]) -> None:
    shares = shares_by(patients, of, treatments)
    place = np.arange(len(shares))
    left = np.zeros(len(shares))
    for k, treatment in enumerate(treatments):
        is_none = treatment == NONE
        width = shares[treatment].to_numpy(dtype=np.float64)
        axis.barh(
            place,
            width,
            0.7,
            left=left,
            color="#DDDDDD" if is_none else canvas.CYCLE[k % len(canvas.CYCLE)],
            label="no treatment" if is_none else canvas.wrapped(treatment, _NAME_WIDTH),
        )
        left += width
    treated = (patients["treatment"] != NONE).astype(np.float64)
    each = treated.groupby([of, patients["episode"]]).mean().groupby(level=0)
    if patients["episode"].nunique() > 1:
        for row, group in zip(place, shares.index, strict=True):
            ends = each.get_group(group).quantile([canvas.LOW_QUANTILE, canvas.HIGH_QUANTILE])
            axis.plot(
                ends,
                (row, row),
                color=canvas.BLACK,
                linewidth=2.5,
                label=f"treated,\n{canvas.BAND}" if row == 0 else None,
            )
    names = [
        f"{canvas.wrapped(group, _NAME_WIDTH)}\n({int(count):,} patients)"
        for group, count in zip(shares.index, shares["patients"], strict=True)
    ]
    axis.set_yticks(place, names, fontsize=8)
    axis.set_xlim(0.0, 1.0)
    axis.invert_yaxis()
