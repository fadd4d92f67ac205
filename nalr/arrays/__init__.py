"""Arrays as users give them: input checks, passes over rows, threads, the average of iterates."""
