"""Repeat what docs/experiments/ reports; each script made figures there, and runs by `python -m experiments.NAME`."""
