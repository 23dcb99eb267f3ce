"""Carry tasks to batch systems that are driven by commands: one engine, and a dialect for each system."""
