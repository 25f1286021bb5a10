"""Corrections of charges: what is given back, and what is shared anew, booked as charges that name their origin.

Owns: corrections, and how a corrected charge stands. Does not own: the arithmetic (the stage ``rate.correct``), why a
charge is corrected (disputes, re-rating, levels).
"""
