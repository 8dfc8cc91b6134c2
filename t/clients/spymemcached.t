#!/usr/bin/python3
"""An application's day with Java's spymemcached, with each kind of store."""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from kvt import *
from clients import *
from modes import *

JAR = "/usr/share/java/spymemcached.jar"

run = subprocess.run(["javac", "-cp", JAR, "-d", tmpdir(), os.path.join(clients_dir, "SpymemcachedDay.java")],
    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
if ok(run.returncode == 0, "SpymemcachedDay.java compiles"):
	for mode, kv in all_modes(["-t", "2"]):
		adopt(mode + ", spymemcached", ["java", "-cp", JAR + ":" + tmpdir(), "SpymemcachedDay", "127.0.0.1", str(kv.port)])
else:
	diag(run.stdout)
done_testing()
