"""The shard format: datasets of tars with an index and a table of samples, written, read, verified."""
