"""Hierarchical prescribers: options, their library, and the manager that chooses among them."""
