"""Restrict a dataset to the rows that fulfil a condition on the columns of samples.parquet."""
