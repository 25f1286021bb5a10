"""Statements: how each payer wants its own, composing them for a period, a session or a correction, and sending them.

Owns: wishes, issuing, previews, credit notes, e-mail. Does not own: adding up, rounding, rendering.
"""
