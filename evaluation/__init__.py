"""Models and shards in; predictions, statistics and the report out. May import `training`, never `ingest`."""
