"""Apportion: share out the work, share out the fee.

Owns: the public door. Does not own: anything else.
"""
