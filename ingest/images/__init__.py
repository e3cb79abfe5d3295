"""Read the image files of a source: follow links, refuse what is no image, convert to the JPEG of a shard."""
