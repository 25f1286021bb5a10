"""The stores: the books in a database, one plug for each kind.

Owns: tables, SQL, transactions, durability. Does not own: what is written into them and why.
"""
