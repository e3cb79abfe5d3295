"""Metrics and their uncertainty: AUROC, bootstrap, DeLong, and the result as JSON."""
