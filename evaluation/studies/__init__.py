"""Judge a study's cells: predict what is missing, compare the arms, correct p-values, write tables and the report."""
