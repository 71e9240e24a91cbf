"""What models see with: from a picture's pixels to the features that stand among a prompt's tokens.

Rule: one file for each family, which says how its pictures are cut and scaled, which tokens stand for them, and how
its tower is built. Their language sides are in haiga/models. numpy and Pillow only.
"""
