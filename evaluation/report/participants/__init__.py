"""The participants: table 1 of each dataset, and how many were left out at each step and why."""
