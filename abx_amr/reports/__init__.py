"""One self-contained HTML page of a run, a study, a set of runs or a plan: data in, page out."""
