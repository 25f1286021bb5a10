"""Payment processors: what stands behind PaymentPort.

Owns: how a processor is spoken to, and a stand-in for one. Does not own: when anybody is charged, and what is booked.
"""
