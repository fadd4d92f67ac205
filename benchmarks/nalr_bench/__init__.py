"""Problems, baselines and tuned comparisons: what the demo, the race and the benchmarks share."""
