"""Provider nodes: asking them for bids over HTTP.

Owns: the way there and back, in bounded time and memory. Does not own: whether a bid counts, what is chosen.
"""
