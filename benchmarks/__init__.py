"""Measurements, side by side with the bare library in one run; results as JSON in ``benchmarks/results``.

Owns: what is measured and how it is told. Does not own: promises; a test never asserts a time.
"""
