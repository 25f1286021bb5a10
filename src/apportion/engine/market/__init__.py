"""The market as it stands: live offers, who is switched off, who is approved for whom, how everybody is rated.

Owns: what changes between two requests. Does not own: plans, and the terms that the catalog holds.
"""
