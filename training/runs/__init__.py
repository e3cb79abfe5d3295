"""A run's directory: checkpoints, metrics, lock, and the backbone that it exports."""
