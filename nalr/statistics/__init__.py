"""Statistics of series of numbers that know no gradients: averages, blocks, intervals."""
