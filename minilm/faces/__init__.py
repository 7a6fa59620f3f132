"""Everything that shows records and computes nothing."""
