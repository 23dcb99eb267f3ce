"""Logs of attempts that run where no file is shared: their workers tell them, if the operator wants it, to a listener.

An engine gives its orders where to tell and a key for that attempt alone (`order`), a process beside it takes what comes
(`listener`, by the rules of `told`, `keeping` and `turns`), and the engine reads it (`tails`).
"""
