"""Processes and devices of a run: ranks, launchers, signals, time limits."""
