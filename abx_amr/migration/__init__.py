"""Files of the prior tool, read and written as ours."""
