"""The HTTP API: routes over the domains' verbs, one transaction a request, errors mapped once."""
