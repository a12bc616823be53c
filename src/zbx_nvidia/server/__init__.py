"""Talks to a Zabbix front end: reads what is there, plans a change, makes it. It is given text and names, no GPUs."""
