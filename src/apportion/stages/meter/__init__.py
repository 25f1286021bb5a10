"""What was really delivered: what providers report against what was measured, and whether service levels were kept."""
