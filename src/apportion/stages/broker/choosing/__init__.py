"""Choosing: the best combination of options, one for each part; see ``choose``.

Owns: the exact search, and what a solver is told. Does not own: prices, limits of single offers, the solver.
"""
