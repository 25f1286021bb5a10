"""Pages: documents and books as self-contained HTML, with figures drawn as SVG; no page asks anything of a network.

Owns: templates, figures, what a reader sees of a record. Does not own: amounts, who may see what, where pages are kept.
"""
