"""The tables of the page as finished strings: gains, further metrics, subgroups, models, datasets, results."""
