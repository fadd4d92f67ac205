"""Diagnosis of the machine, compilation ahead of time, memory bandwidth."""
