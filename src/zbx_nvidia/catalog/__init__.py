"""The table from which everything else is derived: metrics, alerts, graphs, statuses, macros.

Data, and small functions of it. Each poll imports `metrics`, `entities`, `sampled`, `status` and `xid_actions`, so they
stay small. `alerts`, `graphs` and `macros` are for the template.
"""
