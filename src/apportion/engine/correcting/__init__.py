"""Corrections of charges: what is given back, and what is shared anew, booked as charges that name their origin."""
