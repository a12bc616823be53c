<?php
$DB['TYPE'] = 'POSTGRESQL';
// pgbouncer's socket.
$DB['SERVER'] = '/tmp';
$DB['PORT'] = '6432';
$DB['DATABASE'] = 'zabbix';
$DB['USER'] = 'zabbix';
$DB['PASSWORD'] = 'zabbix';
$DB['SCHEMA'] = '';
$DB['ENCRYPTION'] = false;
$DB['DOUBLE_IEEE754'] = true;
$ZBX_SERVER = 'server';
$ZBX_SERVER_PORT = '10051';
$ZBX_SERVER_NAME = 'zbx-nvidia';
$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
