"""The demo, and what a person copies to begin with."""
