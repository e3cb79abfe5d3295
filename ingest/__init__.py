"""Raw datasets -> shards. Nothing imports this package; it imports `shards` only, and neither torch nor DALI."""
