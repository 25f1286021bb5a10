"""Transfers: a known amount of data split over paths, and split again when a path changes.

Owns: the paths and what a split costs. Does not own: the split itself (a stage), moving the data.
"""
