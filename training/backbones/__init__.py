"""Backbones: the table of architectures, networks, files of weights, export."""
