"""Compose a configuration and turn it into plain objects; configuration stops here.

groups      what can be chosen            composing   overrides in, a configuration out
mistakes    complaints said in one line   values      plain data: sections, dotted paths
classes     what `_target_` names         clinic, agent, manager, training, storage   the objects

With api.py and cli/ the only place that sees Hydra. Everything raised for a user's mistake is an
InputError of one line. Each is imported from its own room, so that a command loads what it uses.
"""
