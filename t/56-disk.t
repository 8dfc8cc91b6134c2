#!/usr/bin/python3
"""
The embedded database: what was stored is there after a restart and after kill -9, in its namespace; what cannot be opened is
said with its cause; a full disk and a damaged file are errors of what they concern, and reads of the rest go on; copies made
by checkpoint are databases; a reload brings namespaces and settings.
"""
import glob, os, resource, signal, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *
from modes import *

RECORDS = 'namespace "r" { prefix = "r:"  item_separator = "/"  primary { store = "d" }  local { ttl = 0 } }\n'
ROOT = ["-u", "root"] if os.geteuid() == 0 else []


def conf(path, store="", more=""):
	return disk_conf(path, "0", store) + RECORDS + more


def refused(text, pattern, name):
	"""kvgate does not start with this, and says why in one line."""
	p = subprocess.run([kvgate_binary(), "-p", str(free_port()), "-l", "127.0.0.1"] + ROOT + [write_file("no.conf", text)],
	    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60 * patience)
	ok(p.returncode != 0, name + ": it does not start")
	like(p.stdout, pattern, name + ": it says why")


def numbers(kv, *names):
	with kv.client() as c:
		c.send(b"stats servers\r\nquit\r\n")
		found = dict(line.split()[1:3] for line in c.recv_all().decode().splitlines() if line.startswith("STAT d:"))
	return [int(found["d:" + n]) for n in names]


def restarts():
	path = disk_path()
	for end in ("stop", "kill"):
		with Kvgate(["-t", "2"], conf=conf(path)) as kv:
			with kv.client() as c:
				c.ask(b"set %s 7 0 5\r\nhello\r\n" % end.encode(), b"STORED\r\n", end)
				c.ask(b"set gone 0 0 1\r\nx\r\ndelete gone\r\nset n 0 0 1\r\n4\r\nincr n 5\r\n", b"STORED\r\nDELETED\r\nSTORED\r\n9\r\n")
				c.ask(b"kp r:x 2\r\na 1\r\n1\r\nb 2\r\n22\r\n", b"HD\r\n")
				c.ask(b"kd r:x Kb\r\n", b"HD\r\n")
			if end == "kill":
				kv.kill()
		with Kvgate(conf=conf(path)) as kv, kv.client() as c:
			c.ask(b"get %s gone n\r\n" % end.encode(), b"VALUE %s 7 5\r\nhello\r\nVALUE n 0 1\r\n9\r\nEND\r\n" % end.encode(), "it is there after " + end)
			c.ask(b"kg r:x\r\nmg r:x/a v\r\n", b"VA 1 ka\r\n1\r\nEN\r\nVA 1\r\n1\r\n", "so is the record")


def what_cannot_be_opened():
	path = disk_path()
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		# It listens before it has opened the database.
		c.ask(b"set a 0 0 1\r\nx\r\n", b"STORED\r\n")
		refused(conf(path), r'store "d": path "[^"]*": another process has it open', "locked")
		c.ask(b"get a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n", "the other one goes on")
	refused(conf("/proc/kvgate-no/data"), r'store "d": path "/proc/kvgate-no/data": .*No such file', "nowhere")
	refused(conf(write_file("file", "no database")), r'store "d": path "[^"]*": .*(Not a directory|File exists|exists but is not)', "a file")
	with open(os.path.join(path, "CURRENT"), "w") as f:
		f.write("rubbish\n")
	refused(conf(path), r'store "d": path "[^"]*": Corruption', "damaged")
	os.unlink(os.path.join(path, "CURRENT"))
	had = sorted(glob.glob(os.path.join(path, "*.log")))
	for time in ("once", "twice"):
		refused(conf(path), r'store "d": path "[^"]*": .*CURRENT: does not exist', "without a CURRENT, %s" % time)
	is_(sorted(glob.glob(os.path.join(path, "*.log"))), had, "it does not become a new one")


def one_place_two_names():
	path, more = disk_path(), 'store "e" { type = rocksdb  path = "%s" }\nnamespace "e" { prefix = "e:"  primary { store = "e" } }\n'
	link = path + "-link"
	os.symlink(path, link)
	with Kvgate(conf=conf(path, more=more % (path + "/."))) as kv, kv.client() as c:
		c.ask(b"set a 0 0 1\r\nx\r\nset e:a 0 0 1\r\ny\r\nget a e:a\r\n", b"STORED\r\n" * 2 + b"VALUE a 0 1\r\nx\r\nVALUE e:a 0 1\r\ny\r\nEND\r\n",
		    "a directory that was not there, under two names, is opened once")
		is_(len(glob.glob(os.path.join(path, "MANIFEST-*"))), 1, "it has one list of files")
	refused(conf(path, more=more % link), r'store "d" has path = "[^"]*-link", too; one store for each database', "another name of a directory that is there")


def damaged_log():
	path = disk_path()
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		for n in range(100):
			c.ask(b"set k%03d 0 0 1000 noreply\r\n%s\r\nmn\r\n" % (n, os.urandom(1000)), b"MN\r\n")
		kv.kill()
	with Kvgate(conf=conf(path)) as kv:
		is_(kv.stderr(), "", "after kill -9 alone there is nothing to say")
		kv.kill()
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		for n in range(100, 200):
			c.ask(b"set k%03d 0 0 1000 noreply\r\n%s\r\nmn\r\n" % (n, os.urandom(1000)), b"MN\r\n")
		kv.kill()
	log = max(glob.glob(os.path.join(path, "*.log")), key=os.path.getsize)
	with open(log, "r+b") as f:
		f.seek(os.path.getsize(log) // 2)
		f.write(b"\xff\x00" * 100)
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		found = [c.call(b"mg k%03d s\r\n" % n) == b"HD s1000\r\n" for n in range(200)]
		like(kv.stderr(), r'store "d": path "[^"]*": what was written last may be lost: Corruption', "a damaged log is said")
		is_(found, sorted(found, reverse=True), "what is in front of the damage is there: %d of 200" % sum(found))
		ok(sum(found) >= 100, "all of older logs is")


def full():
	path = disk_path()
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		c.ask(b"set first 0 0 1\r\nx\r\n", b"STORED\r\n")
		resource.prlimit(kv.pid, resource.RLIMIT_FSIZE, (100000, resource.RLIM_INFINITY))
		value = os.urandom(20000)
		for n in range(20):
			answer = c.call(b"set k%d 0 0 20000\r\n%s\r\n" % (n, value))
			if answer != b"STORED\r\n":
				break
		like(answer.decode(), r"^SERVER_ERROR d: .*File too large", "a full disk is said")
		like(kv.stderr(), r'store "d": writes fail: .*File too large', "to the operator, too")
		c.ask(b"get first\r\n", b"VALUE first 0 1\r\nx\r\nEND\r\n", "reads go on")
		c.ask(b"get k0\r\n", b"VALUE k0 0 20000\r\n%s\r\nEND\r\n" % value, "of what was stored just before, too")
		c.ask(b"get k%d\r\n" % n, b"END\r\n", "what was refused is not there")
		resource.prlimit(kv.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		c.ask(b"get first\r\n", b"VALUE first 0 1\r\nx\r\nEND\r\n", "it is there after a restart")
		c.ask(b"get k%d\r\n" % (n - 1), b"VALUE k%d 0 20000\r\n%s\r\nEND\r\n" % (n - 1, value), "so is all that was acknowledged")
		c.ask(b"set k 0 0 1\r\nx\r\n", b"STORED\r\n", "and writes are taken")


def no_space():
	"""A disk that is really full: writes go on by themselves when there is space again."""
	path, mount = disk_path(), ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
	home = os.path.dirname(path)
	mount += ["sh", "-c", 'mount -t tmpfs -o size=96m,mode=777 none "$0" && exec "$@"', home]
	if subprocess.run(mount + ["true"], stderr=subprocess.DEVNULL).returncode != 0:
		return ok(True, "# SKIP nothing can be mounted here")
	with Kvgate(["-u", "root"], conf=conf(path), under=mount) as kv, kv.client() as c:
		filler = "/proc/%d/root%s/filler" % (kv.pid, home)
		with open(filler, "wb") as f:
			f.write(bytes(76 << 20))
		value, n = os.urandom(500000), 0
		while n < 200:
			answer = c.call(b"set k%d 0 0 500000\r\n%s\r\n" % (n, value))
			if answer != b"STORED\r\n":
				break
			n += 1
		like(answer.decode(), r"^SERVER_ERROR d: .*No space left on device", "a full disk is said")
		like(kv.stderr(), r'store "d": writes fail: .*No space left', "to the operator, too")
		c.ask(b"get k0\r\n", b"VALUE k0 0 500000\r\n%s\r\nEND\r\n" % value, "reads go on")
		os.unlink(filler)
		wait_for(lambda: c.call(b"set again 0 0 1\r\nx\r\n") == b"STORED\r\n", 60, "writes to go on when there is space")
		c.ask(b"get k%d\r\n" % (n - 1), b"VALUE k%d 0 500000\r\n%s\r\nEND\r\n" % (n - 1, value), "what was acknowledged is there")
		c.ask(b"get k%d\r\n" % n, b"END\r\n", "what was refused is not")


def damaged():
	path = disk_path()
	values = [os.urandom(4000) for _ in range(200)]
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		for n, v in enumerate(values):
			c.ask(b"set k%03d 0 0 4000 noreply\r\n%s\r\nmn\r\n" % (n, v), b"MN\r\n")
		c.ask(b"checkpoint d copy\r\n", b"OK\r\n", "all of it is in a file")
	files = [f for f in glob.glob(os.path.join(path, "*.sst")) if os.path.getsize(f) > 400000]
	is_(len(files), 1, "one file has the values")
	with open(files[0], "r+b") as f:
		f.seek(os.path.getsize(files[0]) // 2)
		f.write(b"\xff\x00" * 100)
	with Kvgate(conf=conf(path), check=True) as kv, kv.client() as c:
		good, bad = 0, []
		for n, v in enumerate(values):
			answer = c.call(b"mg k%03d v\r\n" % n)
			if answer.startswith(b"VA "):
				answer += c.recv(4002) if len(answer) < 4000 else b""
			good += answer == b"VA 4000\r\n%s\r\n" % v
			if answer.startswith(b"SERVER_ERROR"):
				bad.append(answer)
		ok(good >= 180 and 1 <= len(bad) <= 20 and good + len(bad) == 200, "one block cannot be read: %d good, %d bad" % (good, len(bad)))
		like(bad[0].decode(), r"^SERVER_ERROR d: Corruption", "that is said")
		c.ask(b"set other 0 0 1\r\nx\r\nget other\r\n", b"STORED\r\nVALUE other 0 1\r\nx\r\nEND\r\n", "all else goes on")
	with Kvgate(conf=conf(os.path.join(os.path.dirname(path), "copy"))) as kv, kv.client() as c:
		c.ask(b"get k100\r\n", b"VALUE k100 0 4000\r\n%s\r\nEND\r\n" % values[100], "the copy is a database")


def many_files():
	"""Not all files are open; what lies in the others is there, too, and so are the deletes in them."""
	path, names = disk_path(), ["n%02d" % n for n in range(60)]
	spaces = "".join('namespace "%s" { prefix = "%s:"  item_separator = "/"  primary { store = "d" }  local { ttl = 0 } }\n' % (n, n) for n in names)
	keys = [n.encode() for n in names]
	with Kvgate(conf=conf(path, "open_files = 20", spaces)) as kv, kv.client() as c:
		c.ask(b"".join(b"kp %s:r 3\r\na 1\r\n1\r\nb 1\r\n2\r\nc 1\r\n3\r\nkd %s:r Gb\r\n" % (n, n) for n in keys), b"HD\r\n" * 120)
	for time in ("first", "second"):
		with Kvgate(["-t", "1"], conf=conf(path, "open_files = 20", spaces)) as kv, kv.client() as c:
			c.ask(b"".join(b"mg %s:r/a v\r\nmg %s:r/b v\r\n" % (n, n) for n in keys), b"VA 1\r\n1\r\nEN\r\n" * 60, "items after the %s start" % time)
		with Kvgate(["-t", "1"], conf=conf(path, "open_files = 20", spaces)) as kv, kv.client() as c:
			c.ask(b"".join(b"kg %s:r\r\nks %s\r\n" % (n, n) for n in keys),
			    b"".join(b"VA 1 ka\r\n1\r\nEN\r\nVA 1 i%s:r ka\r\n1\r\nEN\r\n" % n for n in keys), "pages after the %s start" % time)


def checkpoints():
	path = disk_path()
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		c.ask(b"set a 0 0 1\r\nx\r\ncheckpoint d one\r\n", b"STORED\r\nOK\r\n", "a copy")
		c.ask(b"set a 0 0 1\r\ny\r\n", b"STORED\r\n")
		like(c.call(b"checkpoint d one\r\n").decode(), "^SERVER_ERROR d: .*exists", "not over another")
		c.ask(b"checkpoint e two\r\ncheckpoint d ../two\r\ncheckpoint d\r\n", b"CLIENT_ERROR unknown store\r\n"
		    b"CLIENT_ERROR bad name of a checkpoint\r\nCLIENT_ERROR bad command line format\r\n", "what makes no sense")
	with Kvgate(conf=conf(os.path.join(os.path.dirname(path), "one"))) as kv, kv.client() as c:
		c.ask(b"get a\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n", "has what was there")


def reloads():
	path = disk_path()
	with Kvgate(["-t", "2"], conf=conf(path)) as kv, kv.client() as c:
		c.ask(b"set a 0 0 1\r\nx\r\nset s:a 0 0 1\r\ny\r\n", b"STORED\r\n" * 2)
		kv.write_conf(conf(path, "durability = none  block_cache = 8MB", 'namespace "s" { prefix = "s:" primary { store = "d" } local { ttl = 0 } }\n'))
		kv.send_signal(signal.SIGHUP)
		wait_for(lambda: c.call(b"mg s:a\r\n") == b"EN\r\n", 20, "the namespace to be there")
		c.ask(b"set s:a 0 0 1\r\nz\r\nget s:a a\r\n", b"STORED\r\nVALUE s:a 0 1\r\nz\r\nVALUE a 0 1\r\nx\r\nEND\r\n", "a new namespace")
		before = numbers(kv, "syncs")
		c.ask(b"set a 0 0 1\r\nv\r\n", b"STORED\r\n")
		is_(numbers(kv, "syncs"), before, "durability has changed")
		c.ask(b"flush_all\r\nget a s:a\r\n", b"OK\r\nVALUE s:a 0 1\r\nz\r\nEND\r\n", "flush_all empties the default one")
	with Kvgate(conf=conf(path)) as kv, kv.client() as c:
		c.ask(b"get s:a\r\n", b"END\r\n", "what the configuration does not name stays out of sight")


def batches():
	with Kvgate(["-t", "2"], conf=conf(disk_path())) as kv:
		clients = [kv.client() for _ in range(32)]
		line = b"".join(b"set k%d 0 0 1\r\nx\r\n" % n for n in range(50))
		for c in clients:
			c.send(line)
		for c in clients:
			is_(c.recv(50 * 8), b"STORED\r\n" * 50)
			c.close()
		batches_, written, syncs = numbers(kv, "batches", "batched_writes", "syncs")
		ok(written >= 1600 and batches_ == syncs and batches_ * 4 < written, "writes of one moment share a batch and a sync: %d in %d" %
		    (written, batches_))


restarts()
what_cannot_be_opened()
one_place_two_names()
full()
no_space()
damaged()
damaged_log()
many_files()
checkpoints()
reloads()
batches()
done_testing()
