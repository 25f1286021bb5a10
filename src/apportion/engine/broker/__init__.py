"""The broker: from a request to the preferred scenario, and from there to a session at exactly these terms.

Owns: pricing of offers for a request, plans, asking provider nodes. Does not own: choosing (a stage), sessions.
"""
