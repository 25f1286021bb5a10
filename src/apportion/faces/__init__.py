"""The faces: everything that drives the engine, by command line, HTTP, pages or protocol.

Owns: parsing, authentication, presentation. Does not own: rules, arithmetic on money, access to a store.
"""
