"""The commands: argv in, plain objects onwards, one line and exit status 2 for a user's mistake."""
