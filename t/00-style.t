#!/usr/bin/python3
"""
The habits of the house that a program can check: what a file begins with, how long lines, functions and files are, words
that must not stay. What is longer for a reason is listed here with the reason.
"""
import os, re, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "lib"))
from kvt import *

LINE_MAX, FUNCTION_MAX, FILE_MAX = 120, 60, 600
# file -> why it is longer than FILE_MAX
LONG_FILES = {
	"src/backend/redis_lua.h": "made from redis.lua",
}
# "file:function" -> why it is longer than FUNCTION_MAX
LONG_FUNCTIONS = {
	"src/proto/meta.c:take_argument": "one switch, one case per kind of flag",
}
FORBIDDEN = [
	(r"\b(TODO|FIXME|XXX)\b", "a note to oneself"),
	(r"(?<![\w])(sprintf|vsprintf|strcpy|strcat)\s*\(", "an unbounded function"),
	(r"[ \t]+$", "blanks at the end of the line"),
	(r"^ {8}", "eight blanks where a tab belongs"),
	(r"\t +\t", "blanks between tabs"),
	(r"\r", "a carriage return"),
]


def tracked(*ends):
	"""Sources of the tree; what the build made is not looked at."""
	for top in ("src", "t", "contrib"):
		for folder, folders, files in sorted(os.walk(os.path.join(top_srcdir, top))):
			folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in ("corpus", "bin", "__pycache__"))
			for name in sorted(files):
				if name.endswith(ends):
					yield os.path.relpath(os.path.join(folder, name), top_srcdir)


def width(line):
	return len(line.expandtabs(8))


def check_lines(path, text):
	wrong = []
	for number, line in enumerate(text.split("\n"), 1):
		# Tables of rows and strings may be wider, and tests; tabs count as eight.
		if width(line) > LINE_MAX and not (path.startswith(("src/tbl/", "t/")) or re.search(r'"[^"]*"', line)):
			wrong.append("%s:%d: %d columns" % (path, number, width(line)))
		for pattern, what in FORBIDDEN:
			if re.search(pattern, line):
				wrong.append("%s:%d: %s" % (path, number, what))
	if text and not text.endswith("\n"):
		wrong.append("%s: no newline at its end" % path)
	if text.endswith("\n\n"):
		wrong.append("%s: empty lines at its end" % path)
	return wrong


def check_head(path, text):
	if not text.startswith("/*"):
		return ["%s: does not begin with a comment" % path]
	head = text[:text.find("*/")]
	name = os.path.basename(path)
	# A unit test says what it tests instead of its own name.
	if name not in head and path.startswith("src/"):
		return ["%s: its head does not name it" % path]
	if len(head) < 20:
		return ["%s: its head says nothing" % path]
	return []


def check_numbers(path, text):
	"""Numbers come through base/num.h, which refuses what atoi() would make up."""
	code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
	return ["%s: %s()" % (path, name) for name in re.findall(r"(?<![\w])(ato[il]l?|strtou?ll?|sscanf)\s*\(", code)]


def functions(text):
	"""(name, lines) of every function: from its name at the start of a line to } at the start of one."""
	name = start = None
	for number, line in enumerate(text.split("\n"), 1):
		found = re.match(r"([a-z_]\w*)\(", line)
		if found and name is None:
			name, start = found.group(1), number
		elif line.startswith("}") and name is not None:
			yield name, number - start + 1
			name = None
		elif name is not None and line.endswith(";") and not line.startswith(("\t", " ", "{")):
			name = None     # a prototype, a macro's use


def check_sizes(path, text):
	wrong = []
	lines = text.count("\n")
	if lines > FILE_MAX and path not in LONG_FILES:
		wrong.append("%s: %d lines" % (path, lines))
	if lines <= FILE_MAX and path in LONG_FILES:
		wrong.append("%s: %d lines, no longer an exception" % (path, lines))
	for name, length in functions(text):
		if length > FUNCTION_MAX and "%s:%s" % (path, name) not in LONG_FUNCTIONS:
			wrong.append("%s: %s() has %d lines" % (path, name, length))
	return wrong


for path in tracked(".c", ".h"):
	with open(os.path.join(top_srcdir, path), encoding="utf-8") as f:
		text = f.read()
	wrong = check_lines(path, text) + check_head(path, text)
	if path.startswith("src/"):
		wrong += check_sizes(path, text) + check_numbers(path, text)
	if not ok(not wrong, path):
		diag(*wrong)

for path in tracked(".t", ".py"):
	full = os.path.join(top_srcdir, path)
	with open(full, "rb") as f:
		data = f.read()
	if data.startswith(b"\x7fELF"):
		continue        # a unit test that was built here
	text = data.decode("utf-8")
	wrong = []
	if path.endswith(".t") and not (text.startswith("#!/usr/bin/python3\n") and os.access(full, os.X_OK)):
		wrong.append("%s: is no executable beginning with #!/usr/bin/python3" % path)
	if '"""' not in text.split("import", 1)[0]:
		wrong.append("%s: does not begin by saying what it is" % path)
	if re.search(r"[ \t]+$", text, re.M):
		wrong.append("%s: blanks at the end of a line" % path)
	if not ok(not wrong, path):
		diag(*wrong)
for page in sorted(os.listdir(os.path.join(top_srcdir, "man"))):
	p = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", os.path.join(top_srcdir, "man", page)],
	    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
	if not ok(p.returncode == 0, "man/" + page):
		diag(p.stdout)

for script in ("bootstrap", ".ci/run", "t/run"):
	ok(subprocess.run(["sh", "-n", os.path.join(top_srcdir, script)]).returncode == 0, script + " is a shell script")
done_testing()
