"""What bytes mean. Rule: pure translation between bodies and core values; no sockets, no clock, ids are arguments."""
