"""Tests mirror the packages; tests/e2e walks the whole path."""

import os

from hypothesis import settings

# Torch's threads spin while they wait for each other, which on a busy machine (CI) costs more than the work itself.
# libgomp reads this when it is loaded, so it stands before any import of torch; processes that tests start inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A busy machine is no reason for a property to fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
