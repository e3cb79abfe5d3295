"""The HTML report: what was found in a folder, gains, tables, curves and figures."""
