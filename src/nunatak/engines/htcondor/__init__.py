"""The engine of an HTCondor pool: one submission for all tasks of a dataset and shape, files carried by HTCondor.

`options` what an operator says; `expressions`, `description` from tasks to a submission; `travel` which files go along
and under what names; `boxes` the directory of each attempt; `bindings` the calls to HTCondor; `log`, `events`, `ends`
from the event log to what became of an attempt; `records`, `ledger` what is known and kept for a restart; `reconcile`,
`upkeep` the queue against that; `submission` into the queue; `places`, `watch` what the pool has; `engine` all together.
"""
