"""Adds the working folder's own configuration files to Hydra's search path."""
