"""One reader an archive: its tables and file names to rows of samples."""
