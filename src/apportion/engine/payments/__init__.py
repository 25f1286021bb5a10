"""Payments: value fetched from outside, written down before it is sent and booked when it is sure.

Owns: when a payment may be made, how far it has come, who sends it. Does not own: the processor, the payer's funding.
"""
