"""A build: plan the shards, fill them, finish the dataset. Can be stopped and run again at any point."""
