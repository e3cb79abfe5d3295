"""Scripts behind the figures in docs/: what was tried and measured."""
