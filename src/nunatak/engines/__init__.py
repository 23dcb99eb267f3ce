"""Carry tasks to one computing resource each."""
