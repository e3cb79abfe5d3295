"""The commands of cxr-train, one file each."""
