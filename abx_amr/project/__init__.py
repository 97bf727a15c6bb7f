"""A user's own folder: made, and checked file by file."""
