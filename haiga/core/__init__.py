"""Plain values, errors and seams. Rule: the standard library only (and numpy's array type in one seam)."""
