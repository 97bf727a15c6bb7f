"""Paired episodes as tables, and the statistics drawn from them."""
