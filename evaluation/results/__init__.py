"""Read the result files that `cxr-eval bootstrap` writes."""
