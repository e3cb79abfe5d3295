"""Loaders: the order of an epoch, the random draws, the DALI graph, batches and their state."""
