#!/usr/bin/python3
"""
What README.md shows being typed is answered as README.md shows it, by kvgate with proxy.conf.example.
"""
import os, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import *

COMMANDS = ("set ", "get ", "kp ", "kg ", "kd ", "quit")


def body(line):
	"""How many lines more are typed for a command."""
	if line.startswith("kp "):
		return 2 * int(line.split()[2])
	return 1 if line.startswith("set ") else 0


def session():
	"""The lines of the telnet session: what is typed, what is answered."""
	with open(os.path.join(top_srcdir, "README.md")) as f:
		block = re.search(r"^\$ telnet [^\n]*\n(.*?)^```", f.read(), re.M | re.S).group(1)
	typed, answered, more = [], [], 0
	for line in block.splitlines():
		if more or line.startswith(COMMANDS):
			typed.append(line)
			more = more - 1 if more else body(line)
		else:
			answered.append(line)
	return typed, answered


typed, answered = session()
ok(len(typed) > 4 and len(answered) > 4, "README.md has a session")
with open(os.path.join(top_srcdir, "proxy.conf.example")) as f:
	example = f.read().replace('"kvgate-data"', '"%s"' % disk_path())
with Kvgate(conf=example) as kv, kv.client() as c:
	c.send("".join(line + "\r\n" for line in typed).encode())
	is_(c.recv_all().decode().split("\r\n"), answered + [""], "it is answered as printed")
done_testing()
