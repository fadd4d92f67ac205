"""Runs of the race: making them, keeping them."""
