"""Accounts: tokens, what their scopes allow, and answers kept for repeated requests."""
