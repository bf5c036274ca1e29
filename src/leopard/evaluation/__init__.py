"""Tasks, scorers, metrics and runs."""
