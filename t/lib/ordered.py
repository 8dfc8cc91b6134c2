"""
ordered - verified load whose pipelines are strict: a get shows what the set before it in the same pipeline has written.

	load = Ordered(kv)
	load.goes_on(1000)              # waits for so many more good answers
	load.errors                     # (when its pipeline was sent, key, what was said)
	load.stop()
	load.wrong                      # must stay empty, whatever happens to the servers
	load.read_back()                # every key once more, in the end

Each client has keys of its own, so it knows what each of them holds. After an error, or where forgives(key) says that a server may
have lost its last writes, a key may have any of its values since the last one that is certain.
"""

import random
import threading
import time

from kvt import *

__all__ = ["Ordered"]


class Ordered:
	loads = 0

	def __init__(self, kv, clients=4, keys=300, batch=16, forgives=lambda key: False, sizes=(1, 1, 2, 40, 2000),
	    name=lambda n, k: b"%d:%d" % (n, k)):
		Ordered.loads += 1              # what an earlier load has written is none of this one's business
		self.kv, self.batch, self.sizes, self.forgives = kv, batch, sizes, forgives
		self.wrong, self.errors, self.good = [], [], 0
		self.stopping = False
		self.lock = threading.Lock()
		self.holds = [{} for _ in range(clients)]       # of each client: key -> values that it may have, None: not there
		self.names = [[b"o%d:" % Ordered.loads + name(n, k) for k in range(keys)] for n in range(clients)]
		self.threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(clients)]
		for t in self.threads:
			t.start()

	@property
	def keys(self):
		return [k for names in self.names for k in names]

	def _note(self, *what):
		with self.lock:
			self.wrong.append(what)

	def _client(self, n):
		try:
			rnd, holds, serial = random.Random(n), self.holds[n], 0
			with self.kv.client(seconds=60) as c:
				while not self.stopping:
					asked = []
					# Few keys at a time, so that they meet in one pipeline.
					few = rnd.sample(self.names[n], 4)
					for _ in range(self.batch):
						key = rnd.choice(few)
						value = None
						if rnd.random() < 0.5:
							serial += 1
							value = b"%s=%d." % (key, serial) * rnd.choice(self.sizes)
						asked.append((key, value))
					self._pipeline(c, asked, holds)
		except Exception as e:
			self._note("client %d" % n, repr(e))

	def _pipeline(self, c, asked, holds):
		sent = time.monotonic()
		c.send_and_read(b"".join(b"get %s\r\n" % key if value is None else
		    b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value) for key, value in asked))
		good = 0
		for key, value in asked:
			line = c.line()
			if line.startswith(b"SERVER_ERROR "):
				with self.lock:
					self.errors.append((sent, key, line))
				if value is not None:   # it may have arrived, or arrive yet
					holds.setdefault(key, [None]).append(value)
				continue
			good += 1
			if value is None:
				self._check(c, key, line, holds)
			elif line != b"STORED\r\n":
				self._note(key, line)
			elif self.forgives(key):
				holds.setdefault(key, [None]).append(value)
			else:
				holds[key] = [value]
		with self.lock:
			self.good += good

	def _check(self, c, key, line, holds):
		may = holds.get(key, [None])
		got = None
		if line != b"END\r\n":
			words = line.split()
			if len(words) != 4 or words[:3] != [b"VALUE", key, b"0"]:
				self._note(key, line)
				return
			body = c.recv(int(words[3]) + 7)
			got = body[:-7]
			if not body.endswith(b"\r\nEND\r\n"):
				self._note(key, line, body[:100])
		if got not in may:
			self._note(key, "has", got and got[:60], "not", may[-1] and may[-1][:60])

	def goes_on(self, n=1000, seconds=60):
		start = self.good
		wait_for(lambda: self.good >= start + n or self.wrong, seconds, "good answers")

	def stop(self):
		self.stopping = True
		for t in self.threads:
			t.join()

	def read_back(self):
		"""Every key; what is wrong is added to wrong."""
		for names, holds in zip(self.names, self.holds):
			with self.kv.client(seconds=60) as c:
				for at in range(0, len(names), 50):
					self._pipeline(c, [(key, None) for key in names[at:at + 50]], holds)
