"""Adds the project's and the working folder's own configuration files to Hydra's search path."""
