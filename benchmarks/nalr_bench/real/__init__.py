"""Real runs: nalr, tuned schedules and other methods in ordinary PyTorch training loops."""
