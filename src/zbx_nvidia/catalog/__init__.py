"""The table from which everything else is derived: metrics, alerts, graphs, statuses, macros. Data, no behaviour.

`metrics` and `status` are read by the agent at each poll and stay small; `alerts` and `graphs` are for the template.
"""
