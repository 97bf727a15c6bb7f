"""One file a figure: table in, figure out. They load matplotlib: import them late."""
