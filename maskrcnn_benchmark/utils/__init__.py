"""Utilities for all parts of the package: processes, logs, files, errors, the environment."""
