"""A clinic made of sliders: what was set, what comes of it at once, and the files that keep it."""
