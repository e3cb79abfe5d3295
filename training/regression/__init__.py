"""Logistic regressions of frozen features, and the training patients that are held out to choose something."""
