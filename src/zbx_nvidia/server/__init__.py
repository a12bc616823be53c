"""Zabbix's API: reads the current state, plans a change, applies it. Callers pass texts and names; GPUs are unknown."""
