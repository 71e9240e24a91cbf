"""The wire from its other end: core requests to the bodies that other servers read, their answers to core events.

Rule: pure translation, as everywhere in wire; what another server says is not trusted to be in order.
"""
