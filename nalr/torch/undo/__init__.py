"""Undoing steps: snapshots, rollback, a first step that was too long."""
