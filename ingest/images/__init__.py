"""Read the image files of a source: follow links, refuse what is no image, convert to the JPEG of a shard.

Also the range of 16-bit PNGs, and the stored images that show little.
"""
