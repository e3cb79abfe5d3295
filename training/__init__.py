"""Pretraining, probes and fine-tuning on shards."""
