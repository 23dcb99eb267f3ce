"""Long-running processes: maintenance and engine hosts."""
