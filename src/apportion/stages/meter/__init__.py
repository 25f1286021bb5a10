"""What was really delivered: what providers report against what was measured, and whether service levels were kept.

Owns: how records are compared and samples are counted. Does not own: where they come from, and what is booked for them.
"""
