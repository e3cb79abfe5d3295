"""The commands of cxr-eval, one file each."""
