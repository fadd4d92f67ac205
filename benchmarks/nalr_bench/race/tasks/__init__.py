"""What methods race on beside problems: networks, trained as in any PyTorch script."""
