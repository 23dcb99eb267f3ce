"""Carry tasks to batch systems that are driven by commands: one engine, and a dialect for each system.

`slurm`, `pbs`, `gridengine`, `lsf` build commands and read answers (`dialect`), which `run` carries here or by ssh; `system`
knows what the cluster has and whether it answers. `intake` makes workers (`attempts`) of what is submitted or left on
disk, `outgoing` and `submitting` send them with a `script`, `watch` compares them with what is said of their jobs,
`concluding` and `ends` say how they ended, `book` and `submissions` keep what has to be known after a kill. `there` is where
the nodes see the sandboxes: the same directory, or (`staged`, `ferry`) another one.
"""
