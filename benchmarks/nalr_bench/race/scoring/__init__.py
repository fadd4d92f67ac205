"""Scores of the race."""
