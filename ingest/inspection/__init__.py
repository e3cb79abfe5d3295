"""Look at a finished dataset: counts, contact sheets, histograms."""
