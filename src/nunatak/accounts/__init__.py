"""Who may do what: tokens and the policy."""
