"""Published learning-rate rules, one class a file."""
