"""The node of a provider: it answers questions by its own prices, signs what it says, and is a home to its users.

Owns: its bids, its capacity, the way on to the platform. Does not own: the platform's choice, tactics, books.
"""
