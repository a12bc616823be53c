"""The table from which everything else is derived: metrics, alerts, graphs, statuses, macros. Data, no code.

The collector imports `metrics` and `status` at each poll, so they stay small. `alerts` and `graphs` are for the
template.
"""
