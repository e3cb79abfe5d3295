"""Pretraining: options, refusals, the training loop, and what is recorded when."""
