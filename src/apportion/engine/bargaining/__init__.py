"""Bargaining: rounds of offer and counter-offer with provider nodes, by a user or by an agent within its mandate.

Owns: talks and their messages. Does not own: tactics (a stage), plans, sessions.
"""
