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
    "amr_threshold": "a rule: treat with the least resisted antibiotic while its visible AMR is at "
    "most a threshold, and the risk of infection at least a risk",
    "greedy": "a rule: the best for the next step's reward, resistance included",
    "myopic": "a rule: the best for the patients of this step, whatever the resistance after it",
    "cycling": "a rule: one antibiotic after the other, each for a period of steps",
    "risk_stratified": "a rule: treat whom the risk of infection makes worth it",
    "always_best": "a rule: treat everybody with what promises most",
    "never": "a rule: treat nobody",
}


def render(subject: RunSubject | StudySubject) -> Markup:
    """Return the words and what they mean."""
    return fill("words.html", words=[*_BOTH.items(), *_RULES.items()])
