#!/usr/bin/python3
"""The load generator notices every wrong answer, in each of its dialects: contrib/bench/selftest.py."""
import os, sys

top = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..")
program = os.path.join(os.environ.get("top_builddir", top), "contrib/bench/kvload")
os.execv(sys.executable, [sys.executable, os.path.join(top, "contrib/bench/selftest.py"), program])
