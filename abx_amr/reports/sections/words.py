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
    "return": "the sum of the rewards of an episode's steps, without discount. The reward of a "
    "step is the mean over its patients of what a cure, a failure and an adverse event are worth "
    "(the largest of these counts as 1), and a part for resistance by its weight. So returns grow "
    "with the number of steps, not of patients. Mostly negative: nearer to zero is better",
    "in expectation": "without the luck of the episodes that were played: what the mean return "
    "would be over very many of them. Exact: computed without any chance",
    "never treating, range": "what is earned where nobody is treated; from there (0 %) to the "
    "optimum (100 %) is the range, a scale that clinics share",
    "gap": "what a policy earns less than the optimum",
    "AMR": "antimicrobial resistance: the share of infections that resist an antibiotic; visible "
    "AMR is what the agent is told, which may be old or inexact",
    "optimum": "the best possible prescriber of the clinic, computed from its parameters",
    "regret": "the expected return that an action loses against the best one",
    "gamma": "the discount factor of a learner: what a reward one step later is worth to it now; "
    "below 1, a far harm counts for less",
    "community": "the part of the reward that is for resistance, and so for later patients; its "
    "weight (lambda) is set against the part for the patients of today",
    "discounting": "what is lost because a learner values a far harm less than a near one; a "
    "larger gamma loses less, and is harder to learn",
    "evaluation seed": "the number from which the patients of the evaluation episodes follow",
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
    "study": {
        "trial": "one setting of the agent, trained with several training seeds",
        "value": "of a trial: the mean return of its seeds less a part of how far they differ",
        "default": "the setting that the agent has without a search",
        "final": "the best trials and the default, trained again on fresh seeds",
        "held out": "on training seeds and episodes that chose nothing",
        "race": "a study in which a trial gets more seeds only while it does well",
    },
    "run": {
        "checkpoint": "the agent as it was at some moment of its training; the best is the one "
        "that earned most in an evaluation",
        "policy card": "what a prescriber does to patients, for a clinician",
        "adverse event": "harm by an antibiotic, whatever it does to the infection",
    },
    "set": {
        "condition": "runs that differ in nothing but their training seed",
        "pair": "two runs of one training seed, of two conditions: what they share by chance "
        "does not count",
        "p-value": "how often chance alone would show as much, if there were no difference; Holm: "
        "corrected for the number of comparisons",
        "IQM": "the mean of the middle half: a single seed that fails does not decide it",
    },
    "plan": {
        "of the range": "where a policy lies from never treating (0 %) to the optimum (100 %)",
        "certificate": "how the optimum was computed, and the bounds between which it lies",
        "level and worth per antibiotic": "a rule with a level for each antibiotic at which it "
        "stops, and a price of it, both found by search",
        "standard error": "how far a mean over episodes may be off by their luck; twice it on "
        "either side is about the 95 % interval",
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
