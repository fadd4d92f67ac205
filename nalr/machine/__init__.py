"""What a machine means for the kernels: diagnosis, compilation ahead of time, memory bandwidth."""
