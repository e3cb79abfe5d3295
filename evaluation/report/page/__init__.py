"""The page itself, and the tables and figures beside it."""
