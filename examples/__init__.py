"""Show the whole path: the demo, the notebook, and the public functions from Python. Made to be copied from."""
