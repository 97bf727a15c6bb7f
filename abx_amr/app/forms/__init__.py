"""Forms of the commands, made from the configuration: groups, keys, types, limits, comments."""
