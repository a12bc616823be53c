"""Reports of a period, from what Zabbix has stored: asks, adds up, and writes pages."""
