"""The prior tool's algorithms and their hyper-parameters as ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from abx_amr.migration.prior_files import PRIOR_PPO, Umbrella
from abx_amr.migration.prior_options import library_of, translate_options
from abx_amr.migration.prior_sections import Notes, Plain, default_of, take_section

#: Prior algorithm -> our agent_algorithm, and the section of its hyper-parameters.
ALGORITHMS = {
    "PPO": (PRIOR_PPO, "ppo"),
    "A2C": ("a2c", "a2c"),
    "RecurrentPPO": ("recurrent_ppo", "recurrent_ppo"),
    "HRL_PPO": ("hrl_ppo", "ppo"),
    "HRL_RPPO": ("hrl_rppo", "recurrent_ppo"),
}


#: Those that a file of the prior tool gives; where it does not, ours count, which is said.
_HYPER_PARAMETERS = (
    *("learning_rate", "n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "clip_range"),
    *("ent_coef", "vf_coef", "max_grad_norm"),
)


def translate_agent(
    umbrella: Umbrella, members: dict[str, Plain], drugs: Sequence[str], notes: Notes
) -> None:
    """Add agent_algorithm, and for a manager hrl and option_library."""
    assert umbrella.agent is not None
    section = {k: v for k, v in umbrella.agent.content.items() if k not in ("hrl", "training")}
    algorithm = section.pop("algorithm", None)
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        notes.lose("algorithm", algorithm, f"there is none here (there are: {known}); PPO is used")
        algorithm = "PPO"
    name, own_section = ALGORITHMS[algorithm]
    packaged_agent = default_of("agent_algorithm", name)
    ours: Plain = {"defaults": [name]}
    refused: set[str] = set()
    for key, value in take_section(section, own_section, "").items():
        where = f"{own_section}.{key}"
        if key in ("policy_kwargs", "lstm_kwargs"):
            section.setdefault(key, value)
        elif key not in packaged_agent or key in ("policy", "_target_"):
            notes.lose(where, value, f"{name} has no such hyper-parameter that can be set")
        elif isinstance(value, str) and not isinstance(packaged_agent[key], str):
            refused.add(key)
            notes.lose(
                where,
                value,
                "it must be a number; schedules: agent_algorithm/ppo_linear; "
                f"{packaged_agent[key]} is used",
            )
        else:
            ours[key] = value
    for key in _HYPER_PARAMETERS:
        if key in packaged_agent and key not in ours and key not in refused:
            notes.fill(f"{own_section}.{key}", packaged_agent[key])
    network = {
        **_policy_arguments(take_section(section, "policy_kwargs", ""), packaged_agent, notes),
        **_memory(take_section(section, "lstm_kwargs", ""), packaged_agent, name, notes),
    }
    for key in ("net_arch", "lstm_hidden_size", "n_lstm_layers"):
        default = packaged_agent["policy_kwargs"].get(key)
        if default is not None and key not in network:
            notes.fill(f"{'policy' if key == 'net_arch' else 'lstm'}_kwargs.{key}", default)
    if network:
        ours["policy_kwargs"] = network
    if section.get("policy") in (None, packaged_agent["policy"]):
        section.pop("policy", None)
    for key, value in section.items():
        of_another = key in {s for _, s in ALGORITHMS.values()}
        why = f"{algorithm} does not read it" if of_another else "there is no such setting here"
        notes.lose(str(key), value, why)
    members["agent_algorithm"] = ours
    if name.startswith("hrl_"):
        _manager(umbrella, members, drugs, notes)
        decisions = "n_steps: counts the manager's decisions over all clinics here"
        notes.changed.append(f"{decisions}; the number was carried over")
    else:
        for key, value in umbrella.hrl.items():
            notes.lose(f"hrl.{key}", value, f"{algorithm} chooses no options")
        if "n_steps" in ours:
            notes.changed.append(
                "n_steps: counted the steps of one clinic, counts the transitions of one update "
                "over all clinics here; the number was carried over"
            )


def _policy_arguments(given: Plain, ours: Plain, notes: Notes) -> Plain:
    found: Plain = {}
    where = "policy_kwargs."
    if (architecture := given.pop("net_arch", None)) is not None:
        if (
            isinstance(architecture, list)
            and len(architecture) == 1
            and isinstance(architecture[0], Mapping)
        ):
            architecture = dict(architecture[0])  # as older versions of the library wrote it
        apart = architecture if isinstance(architecture, Mapping) else {"pi": architecture}
        found["net_arch"] = apart.get("pi")
        if apart.get("vf") is not None:
            found["value_net_arch"] = apart["vf"]
    if (activation := given.pop("activation_fn", None)) is not None:
        known = {name.lower(): name for name in ("Tanh", "ReLU", "ELU", "GELU", "LeakyReLU")}
        name = known.get(str(activation).rpartition(".")[2].lower())
        if name is None:
            notes.lose(f"{where}activation_fn", activation, f"known: {', '.join(known.values())}")
        else:
            found["activation_fn"] = f"torch.nn.{name}"
    for key in list(given):
        if key in ours["policy_kwargs"]:
            found[key] = given.pop(key)
    notes.lose_rest(given, where)
    return found


def _memory(given: Plain, ours: Plain, name: str, notes: Notes) -> Plain:
    """Return what lstm_kwargs says, for an algorithm with an LSTM."""
    if "lstm_hidden_size" not in ours["policy_kwargs"]:
        for key, value in given.items():
            notes.lose(f"lstm_kwargs.{key}", value, f"{name} has no LSTM")
        return {}
    found = {key: given.pop(key) for key in list(given) if key in ours["policy_kwargs"]}
    notes.lose_rest(given, "lstm_kwargs.")
    return found


def _manager(
    umbrella: Umbrella, members: dict[str, Plain], drugs: Sequence[str], notes: Notes
) -> None:
    section = dict(umbrella.hrl)
    reference = section.pop("option_library", None)
    ours = default_of("hrl")
    for key in ours:
        if key in section:
            ours[key] = section.pop(key)
    notes.lose_rest(section, "hrl.")
    members["hrl"] = ours
    options: dict[str, Plain] = {}
    if reference is None:
        notes.filled.append("hrl.option_library: not given, option_library=heuristic is used")
    else:
        options = translate_options(library_of(reference, umbrella), umbrella, drugs, notes)
        if not options:
            notes.filled.append(
                "hrl.option_library: no option of it is left, option_library=heuristic is used"
            )
    if options:
        members["option_library"] = {"options": options}
