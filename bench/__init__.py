"""Benchmarks, run by `make bench`. Rule: every figure is a ratio to a baseline or a peer measured in the same run."""
