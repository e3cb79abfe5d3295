"""Gray levels of a build: the range of 16-bit PNGs, and the stored images that show little."""
