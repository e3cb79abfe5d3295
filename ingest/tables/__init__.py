"""Tables as they occur: CSV files read row by row, values mapped to the schema, bad rows rejected by name."""
