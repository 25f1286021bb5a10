"""Re-rating: charges, and whole closed periods, priced again by corrected terms; what differs is booked beside them.

Owns which charges are rated again, what they come to, and which are left and why. Does not own what rating, sharing or
correcting a charge is, nor closing a period.
"""
