"""Hessian-vector products of PyTorch models."""
