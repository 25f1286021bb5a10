"""The schedule at work: what is due by the books, so that nodes do it by themselves.

Owns: when something is due. Does not own: how it is done, and on which thread.
"""
