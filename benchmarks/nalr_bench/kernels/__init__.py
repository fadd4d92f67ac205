"""``nalr bench``: the kernels against NumPy, torch and what this machine's memory allows."""
