"""The plugs: what the engine drives, each behind a port.

Owns: connections, drivers, wire formats. Does not own: decisions, and any knowledge of the engine.
"""
