"""The race: learning rates against each other on the same problems, seeds and budget of gradients."""
