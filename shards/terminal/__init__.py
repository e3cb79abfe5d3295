"""What the three command lines share: options from dataclasses, recipes, progress, errors in one message, the log."""
