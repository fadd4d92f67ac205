"""Taking steps back: snapshots, rollback, a first step that was too long."""
