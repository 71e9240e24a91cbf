"""Batches and their lines in the database; implements core.ports.BatchStore.

Rule: one transaction a method. A line's state, its result and its batch's counts change together, or not at all.
"""

from haiga.stores.batches.store import DatabaseBatches

__all__ = ["DatabaseBatches"]
