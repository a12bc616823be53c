"""Catalog x driver -> the document. What the Zabbix agent runs: standard library and pynvml only.

It is started once a poll, so imports are counted here: no dataclasses, enum, pathlib, argparse or importlib.metadata
(each costs more than reading eight GPUs), and pynvml only in the child that uses it.
"""
