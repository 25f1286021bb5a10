"""Broker: which providers deliver a request, over which networks, on which terms.

Owns: matching, choosing, segmentation, negotiation, all pure. Does not own: prices (the rate stage), asking anybody.
"""
