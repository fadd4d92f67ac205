"""Reports and figures of the race."""
