"""The sentences of the page: main result, how to read it, warnings, methods with references, cost."""
