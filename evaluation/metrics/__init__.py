"""Metrics of many weighted copies of the same rows at once, and the influence of each unit on them."""
