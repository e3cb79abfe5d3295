"""The report of a study: read what a folder holds, arrange gains, draw curves and figures, spell numbers."""
