"""Logs of attempts, and what they used over time: files on disk, beside the database."""
