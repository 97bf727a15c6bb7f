"""The machine that we run on: files, processes, signals, folders, a database server."""
