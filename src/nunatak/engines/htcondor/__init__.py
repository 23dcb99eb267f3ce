"""The engine of an HTCondor pool: one submission for all tasks of a dataset and shape, files carried by HTCondor.

`options` what an operator says; `expressions`, `description` from tasks to a submission; `travel` which files go along
and under what names; `boxes` the directory of each attempt; `bindings` the calls to HTCondor; `log`, `events`, `ends`
from the event log to what became of an attempt; `places` what the pool has; `records` what a restart needs;
`engine` all together.
"""
