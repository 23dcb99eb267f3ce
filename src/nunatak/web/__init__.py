"""The pages: server-rendered views over the same verbs, read models and policy as the API, one module a page."""
