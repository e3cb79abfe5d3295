"""Names of `--dataset` for your own radiographs. Loads no library, so that --help is quick."""

import re

TABLE, FOLDER = "table", "folder"
MODULE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
""""module:Class", a reader outside this project."""
