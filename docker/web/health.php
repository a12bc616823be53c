<?php
// Healthy when the API answers, which needs nginx, php-fpm and the database.
$answer = @file_get_contents('http://127.0.0.1:8080/api_jsonrpc.php', false, stream_context_create(['http' => [
    'method' => 'POST',
    'header' => 'Content-Type: application/json-rpc',
    'content' => '{"jsonrpc": "2.0", "method": "apiinfo.version", "params": [], "id": 1}',
    'timeout' => 5,
]]));
exit(isset(json_decode((string) $answer, true)['result']) ? 0 : 1);
