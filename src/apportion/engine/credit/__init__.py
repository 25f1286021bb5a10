"""Credit: what payers have earned by their own history, who stands for it, and what happens when they do not pay.

Owns: trails, decisions, dunning, write-off. Does not own: the prediction, statements, booking.
"""
