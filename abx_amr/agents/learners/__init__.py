"""The loops that learn."""
