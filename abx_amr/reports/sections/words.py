"""What the words of a page mean, for who has not read the documentation."""

from __future__ import annotations

from markupsafe import Markup

from abx_amr.reports.subjects import Subject
from abx_amr.reports.templating import fill

NAME = "Words"
PAGES = ("run", "study", "set", "plan")
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
    "gamma": "the discount factor of a learner: what a reward one step later is worth to it now; "
    "below 1, a far harm counts for less",
    "community": "the part of the reward that is for resistance, and so for later patients; its "
    "weight (lambda) is set against the part for the patients of today",
    "training seed": "the number from which all chance of a training follows: another seed is "
    "another agent of the same settings",
    "95 % interval": "where the mean lies with a certainty of 95 %, as far as the episodes, or the "
    "seeds, that it is over can say",
    "collapsed": "of a policy: it never treats, always treats, does one thing whatever it sees, "
    "uses only one antibiotic, or stopped exploring early in its training",
    "read back": "found in the agent that was built, not only asked for",
}
#: Of one kind of page alone.
_OF = {
    "set": {
        "condition": "runs that differ in nothing but their training seed",
        "pair": "two runs of one training seed, of two conditions: what they share by chance "
        "does not count",
        "p-value": "how often chance alone would show as much, if there were no difference; Holm: "
        "corrected for the number of comparisons",
        "IQM": "the mean of the middle half: a single seed that fails does not decide it",
    },
    "plan": {
        "gap": "what a policy earns less than the optimum",
        "of the range": "where a policy lies from never treating (0 %) to the optimum (100 %)",
        "front": "the best clinical benefit at every level of resistance that is accepted",
        "spend-down": "treating without regard to resistance shortly before the end of an episode",
    },
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


def render(subject: Subject) -> Markup:
    """Return the words and what they mean."""
    return fill(
        "words.html", words=[*_BOTH.items(), *_OF.get(subject.kind, {}).items(), *_RULES.items()]
    )
