"""What `--png-range` may be. Loads no image library, so that --help is quick."""

AUTO, FILE = "auto", "file"
PNG_BITS = (10, 12, 14, 16)
PNG_RANGES = (AUTO, *map(str, PNG_BITS), FILE)
"""auto: the fewest of PNG_BITS that hold a sample. file: each file's own pixels."""
