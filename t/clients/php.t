#!/usr/bin/python3
"""An application's day with php-memcached, with each kind of store."""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from kvt import *
from clients import *
from modes import *

for mode, kv in all_modes(["-t", "2"]):
	adopt(mode + ", php-memcached", ["php", os.path.join(clients_dir, "php-day.php"), "127.0.0.1", str(kv.port)])
done_testing()
