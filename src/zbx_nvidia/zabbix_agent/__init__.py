"""The Zabbix agents of this host."""
