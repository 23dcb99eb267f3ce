"""Tasks, attempts, leases and logs: from ready to a verdict."""
