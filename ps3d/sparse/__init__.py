"""Sparse convolution: one interface, interchangeable backends."""
