"""What the words of a page mean, for who has not read the documentation."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.reports.subjects import RunSubject, StudySubject
from abx_amr.reports.templating import fill

NAME = "Words"
PAGES = ("run", "study")
ORDER = 95

_BOTH = {
    "step": "one round of patients, one prescription (or none) for each",
    "episode": "a fixed number of steps, after which the clinic begins anew",
    "return": "the sum of the rewards of an episode: benefits, failures, adverse effects and "
    "resistance. Mostly negative: nearer to zero is better",
    "AMR": "antimicrobial resistance: the share of infections that resist an antibiotic; visible "
    "AMR is what the agent is told, which may be old or inexact",
    "optimum": "the best possible prescriber of the clinic, computed from its parameters",
    "regret": "the expected return that an action loses against the best one",
    "collapsed": "of a policy: it does the same whatever it sees, such as never treating",
    "read back": "found in the agent that was built, not only asked for",
}
_RULES = {
    "amr_threshold": "a rule: the antibiotic with the lowest visible AMR while that is below a "
    "threshold, for patients above a risk of infection where one is given; else nothing",
    "risk_stratified": "a rule: the antibiotic with the lowest visible AMR, for patients whose "
    "risk of infection exceeds a threshold",
    "greedy": "a rule: the antibiotic with the highest expected reward if that is above 0",
    "myopic": "a rule: whatever has the highest expected reward now, no treatment included",
    "always_best": "a rule: the antibiotic with the highest expected reward, always",
    "cycling": "a rule: each antibiotic in turn for a period of steps, then nothing for as long",
    "never": "a rule: nobody is treated",
}


def render(subject: RunSubject | StudySubject) -> Markup:
    """Return the words and what they mean."""
    return fill("words.html", words=[*_BOTH.items(), *_RULES.items()])
