"""What is installed on a GPU host: the Zabbix agents there, their configuration, and what makes them answer."""
