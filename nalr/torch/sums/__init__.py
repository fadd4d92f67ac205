"""The sums of a step from tensors: path, microbatches, samples, ranks."""
