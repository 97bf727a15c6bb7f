"""A user's own classes are found, and what cannot be imported is said."""

import sys
from pathlib import Path

import numpy as np
import pytest

from abx_amr.configuration.agent import build_rule
from abx_amr.configuration.classes import locate
from abx_amr.configuration.clinic import build_clinic
from abx_amr.configuration.composing import compose
from abx_amr.errors import InputError
from abx_amr.evaluation.episodes import evaluate


def test_a_users_own_classes_are_found_by_their_dotted_path() -> None:
    own = "tests.examples.own_components"
    drug = "{adverse_effect_penalty: -1.0, adverse_effect_probability: 0.1}"
    overrides = [
        "~amr_dynamics",
        f"+amr_dynamics={{_target_: {own}.FadingMemory, half_life: 10.0, growth: 0.05}}",
        "~antibiotics",
        f"+antibiotics={{drugs: {{A: {drug}, B: {drug}}}}}",
        "~patient_generator",
        f"+patient_generator={{_target_: {own}.Seasons, low: 0.2, high: 0.9}}",
        "agent_algorithm=random",
        "environment.max_time_steps=5",
    ]
    config = compose("train", overrides).plain
    model = build_clinic(config)
    assert type(model.dynamics).__module__ == type(model.population).__module__ == own
    played = evaluate(build_rule(config, model), model, episodes=2, seed=0)
    assert np.isfinite(played.returns).all()


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("own_parts.alarm7.Alarm8", "own_parts/alarm7.py has no class 'Alarm8'; did you mean "),
        ("own_parts.alarn7.Alarm7", "no module 'own_parts.alarn7'; did you mean 'alarm7'?"),
        ("own_part.alarm7.Alarm7", "no module 'own_part'; did you mean 'own_parts'?"),
        ("own_parts.broken.Alarm7", "own_parts/broken.py line 2: "),
        ("own_parts.needs.Alarm7", "own_parts/needs.py line 1: No module named 'nowhere_at_all'"),
        ("own_parts.fails.Alarm7", "own_parts/fails.py line 2: NameError: name 'lenght'"),
        ("nothing_like.it.Alarm7", "there is no module 'nothing_like'; a class of a project is "),
        ("stable_baselines3.PPPO", "stable_baselines3 has no 'PPPO'; did you mean 'PPO'?"),
    ],
)
def test_an_import_that_fails_blames_what_is_wrong(
    target: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    parts = tmp_path / "own_parts"
    parts.mkdir()
    (parts / "alarm7.py").write_text("class Alarm7:\n    pass\n")
    (parts / "broken.py").write_text("class Alarm7:\n    def f(self:\n        pass\n")
    (parts / "needs.py").write_text("import nowhere_at_all\n\nclass Alarm7:\n    pass\n")
    (parts / "fails.py").write_text("class Alarm7:\n    size = lenght\n")
    try:
        with pytest.raises(InputError) as raised:
            locate(target, key="agent_algorithm._target_")
    finally:
        for name in [n for n in sys.modules if n.partition(".")[0] == "own_parts"]:
            del sys.modules[name]
    line = str(raised.value)
    assert line.startswith(f"agent_algorithm._target_: '{target}' cannot be imported: ")
    assert text in line
    assert "give the dotted path" not in line
