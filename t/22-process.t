#!/usr/bin/python3
"""
The process: daemon, pid file, user, limits, signals. A start that fails starts nothing and says so in the exit status, as a
daemon too.
"""
import os, pwd, re, resource, signal, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *

BINARY = kvgate_binary()
IS_ROOT = os.geteuid() == 0
ROOT = ["-u", "root"] if IS_ROOT else []


def status_of(pid):
	with open("/proc/%d/status" % pid) as f:
		return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def answers(port):
	try:
		with Client(("127.0.0.1", port)) as c:
			return c.call(b"mn\r\n") == b"MN\r\n"
	except OSError:
		return False


def gone(pid):
	"""Ended; a daemon whose parent does not wait for it stays behind as a zombie in a container without an init."""
	try:
		return status_of(pid)["State"].startswith("Z")
	except OSError:
		return True


def daemon():
	port = free_port()
	pid_path = os.path.join(tmpdir(), "d.pid")
	p = subprocess.run([BINARY, "-d", "-P", pid_path, "-l", "127.0.0.1", "-p", str(port)] + ROOT, stdin=subprocess.DEVNULL,
	    stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20 * patience)
	is_((p.returncode, p.stdout, p.stderr), (0, b"", b""), "-d: the command ends with status 0")
	ok(answers(port), "it serves as soon as the command has ended")
	with open(pid_path) as f:
		pid = int(f.read())
	try:
		is_(os.readlink("/proc/%d/cwd" % pid), "/", "in /")
		is_([os.readlink("/proc/%d/fd/%d" % (pid, fd)) for fd in range(3)], ["/dev/null"] * 3, "without a terminal")
		is_(os.getsid(pid), pid, "leading a session")
	finally:
		os.kill(pid, signal.SIGTERM)
	ok(wait_for(lambda: gone(pid), 20, "the daemon's end"), "SIGTERM ends it")
	ok(not os.path.exists(pid_path), "the pid file is gone")


def relative_pid_file():
	port = free_port()
	subprocess.run([BINARY, "-d", "-P", "rel.pid", "-l", "127.0.0.1", "-p", str(port)] + ROOT, stdin=subprocess.DEVNULL,
	    timeout=20 * patience, cwd=tmpdir(), check=True)
	path = os.path.join(tmpdir(), "rel.pid")
	ok(os.path.exists(path), "a relative -P is where the command was given")
	with open(path) as f:
		pid = int(f.read())
	os.kill(pid, signal.SIGTERM)
	ok(wait_for(lambda: gone(pid), 20, "the daemon's end") and not os.path.exists(path), "and goes")


def daemon_that_cannot_start():
	with Kvgate() as kv:
		p = subprocess.run([BINARY, "-d", "-l", "127.0.0.1", "-p", str(kv.port)] + ROOT, stdin=subprocess.DEVNULL,
		    stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20 * patience, text=True)
	is_(p.returncode, 2, "-d with a port in use: status 2")
	like(p.stderr, r"^kvgate: [^\n]*in use[^\n]*\n$", "and one line")


def drops_root():
	if not IS_ROOT:
		ok(subprocess.run([BINARY, "-h"], stdout=subprocess.DEVNULL).returncode == 0, "nothing to drop")
		return
	nobody = pwd.getpwnam("nobody")
	with Kvgate(["-u", "nobody", "-t", "3"]) as kv:
		ok(answers(kv.port), "-u nobody serves")
		found = [status_of(int(tid)) for tid in os.listdir("/proc/%d/task" % kv.pid)]
		is_([s["Uid"].split() for s in found], [[str(nobody.pw_uid)] * 4] * len(found), "every thread is nobody")
		is_([s["Gid"].split() for s in found], [[str(nobody.pw_gid)] * 4] * len(found), "in nobody's group")
		ok("0" not in status_of(kv.pid)["Groups"].split(), "and not in root's")
		is_(status_of(kv.pid)["CapEff"].strip("0"), "", "without capabilities")


def limits():
	def less():
		resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
		resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

	def none():
		resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

	port = free_port()
	p = subprocess.Popen([BINARY, "-r", "-c", "2000", "-l", "127.0.0.1", "-p", str(port)] + ROOT, stdin=subprocess.DEVNULL,
	    stderr=subprocess.PIPE, preexec_fn=less)
	try:
		wait_for(lambda: answers(port), 20, "kvgate")
		ok(resource.prlimit(p.pid, resource.RLIMIT_NOFILE)[0] >= 2000, "-c raises the limit of open files")
		ok(resource.prlimit(p.pid, resource.RLIMIT_CORE)[0] != 0, "-r that of core files")
	finally:
		p.terminate()
		p.communicate(timeout=20 * patience)
	if not IS_ROOT:
		p = subprocess.run([BINARY, "-c", "2000", "-l", "127.0.0.1", "-p", str(port)], stdin=subprocess.DEVNULL,
		    stderr=subprocess.PIPE, preexec_fn=none, timeout=20 * patience, text=True)
		ok(p.returncode == 2 and re.search(r"^kvgate: option -c: 2000 connections need", p.stderr), "a limit that cannot be raised")


def signals():
	for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
		with Kvgate(check=False) as kv, kv.client() as c:
			c.ask(b"set a 0 0 1\r\nb\r\n", b"STORED\r\n", "before signal %d" % number)
			is_(kv.stop(number), 0, "signal %d: status 0" % number)
			is_(c.recv_all(), b"", "clients are closed")
	with Kvgate() as kv, kv.client() as c:
		c.ask(b"mn\r\n", b"MN\r\n", "it runs")
		kv.send_signal(signal.SIGHUP)
		wait_for(lambda: "SIGHUP" in kv.stderr(), what="the line about SIGHUP")
		kv.send_signal(signal.SIGPIPE)
		c.ask(b"mn\r\n", b"MN\r\n", "SIGHUP and SIGPIPE do not end it")


def stale_pid_file():
	path = write_file("stale.pid", "999999999\n")
	with Kvgate(["-P", path]) as kv, kv.client() as c:
		c.ask(b"mn\r\n", b"MN\r\n", "it runs")
		wait_for(lambda: "left behind" in kv.stderr() and os.path.getsize(path) < 10, what="the warning")
		with open(path) as f:
			is_(int(f.read()), kv.pid, "a stale pid file is warned of and replaced")


daemon()
relative_pid_file()
daemon_that_cannot_start()
drops_root()
limits()
signals()
stale_pid_file()
done_testing()
