"""Files that somebody else made, decoded: pictures to pixels, PDFs to text and pictures of their pages.

Rule: no decoder runs in the server. It runs in a process of its own (child.py), which has a bound on its memory and on
the processor time of each picture or page, so that a file that breaks it breaks nothing else.
"""
