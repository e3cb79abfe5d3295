"""The commands of `cxr-ingest`, one file each."""
