"""Networks that the race trains."""
