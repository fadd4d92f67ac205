"""``python -m nalr_bench.situations``: losses that are no level, with nalr and at a constant rate."""
