"""One module a page: a function of the request that returns a `View`, and the changes that its forms ask for."""
