"""Events: what the books tell the outside, to whom, and how far each of them has heard.

Owns: events out of journal lines, views of them, webhooks and their progress. Does not own: sockets, HTTP.
"""
