#!/usr/bin/python3
"""What makes a server slow does that, and counts right: contrib/bench/selftest_delay.py."""
import os, sys

top = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..")
program = os.path.join(os.environ.get("top_builddir", top), "contrib/bench/delay")
os.execv(sys.executable, [sys.executable, os.path.join(top, "contrib/bench/selftest_delay.py"), program])
