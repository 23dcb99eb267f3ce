"""Which nodes and sites do not do what others do, and what is lost to attempts that did not count. Pure."""
