"""The HTTP face: the operations of the table as routes, for many clients at once.

Owns: HTTP, keys on requests, limits and deadlines, problem details, metrics, the document of the API. Does not own:
what an operation does, what a caller may see, what is durable.
"""
