"""Studies: a study file read and checked, its cells planned, trained and recorded. No torch until something runs."""
