"""How well a clinic can be treated at all: exact optimum, bounds, tuned rules, discount audit."""
