#!/usr/bin/python3
"""
nginx in front: its own memcached module reads what was stored, its memc module does everything else over kept connections; in
both modes.
"""
import http.client, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
from kvt import *
from clients import *
from modes import *

CONF = """
load_module /usr/lib/nginx/modules/ngx_http_memc_module.so;
daemon off;
master_process off;
%(user)s
pid %(dir)s/nginx.pid;
error_log %(dir)s/error.log warn;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path %(dir)s/body;
	proxy_temp_path %(dir)s/proxy;
	fastcgi_temp_path %(dir)s/fastcgi;
	uwsgi_temp_path %(dir)s/uwsgi;
	scgi_temp_path %(dir)s/scgi;
	client_max_body_size 4m;
	client_body_buffer_size 4m;
	upstream kv { server 127.0.0.1:%(kv)d; keepalive 8; }
	server {
		listen 127.0.0.1:%(port)d;
		location /page { set $memcached_key $arg_key; default_type application/octet-stream; memcached_pass kv; }
		# with a $memc_value, even an empty one, the module does not look at the body
		location /count { set $memc_cmd $arg_cmd; set $memc_key $arg_key; set $memc_value $arg_value; memc_pass kv; }
		location /memc {
			set $memc_cmd $arg_cmd;
			set $memc_key $arg_key;
			set $memc_exptime $arg_exptime;
			set $memc_flags $arg_flags;
			default_type application/octet-stream;
			memc_pass kv;
		}
	}
}
"""


class Nginx(Server):
	name = "nginx"

	def __init__(self, kv):
		port = free_port()
		path = os.path.join(tmpdir(), "nginx.%d" % port)
		os.mkdir(path)
		conf = write_file("nginx.%d.conf" % port, CONF % {"dir": path, "port": port, "kv": kv.port,
		    "user": "user root;" if os.geteuid() == 0 else ""})
		self.start(["/usr/sbin/nginx", "-p", path, "-c", conf, "-e", os.path.join(path, "error.log")], ("127.0.0.1", port))


def day(kv, mode):
	def t(what):
		return "%s, nginx: %s" % (mode, what)

	def http_ask(where, body=None):
		web.request("GET" if body is None else "POST", where, body)
		answer = web.getresponse()
		return answer.status, answer.read()

	def ask(cmd, key="", body=None, **args):
		return http_ask("/memc?cmd=%s&key=%s" % (cmd, key) + "".join("&%s=%s" % a for a in args.items()), body)

	def count(cmd, key, value):
		return http_ask("/count?cmd=%s&key=%s&value=%d" % (cmd, key, value))

	def page(key):
		return http_ask("/page?key=" + key)

	with Nginx(kv) as nginx:
		web = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=20 * patience)
		is_(page("ng-a")[0], 404, t("memcached_pass of nothing"))
		is_(ask("set", "ng-a", NASTY), (201, b"STORED\r\n"), t("set"))
		is_(page("ng-a"), (200, NASTY), t("memcached_pass finds it"))
		is_(ask("get", "ng-a"), (200, NASTY), t("get"))
		is_(ask("add", "ng-a", b"x"), (200, b"NOT_STORED\r\n"), t("add over something"))
		is_(ask("add", "ng-b", b"two"), (201, b"STORED\r\n"), t("add over nothing"))
		is_(ask("replace", "ng-none", b"x"), (200, b"NOT_STORED\r\n"), t("replace of nothing"))
		is_(ask("replace", "ng-b", b"mid"), (201, b"STORED\r\n"), t("replace"))
		is_(ask("append", "ng-b", b"-end"), (201, b"STORED\r\n"), t("append"))
		is_(ask("prepend", "ng-b", b"start-"), (201, b"STORED\r\n"), t("prepend"))
		is_(page("ng-b"), (200, b"start-mid-end"), t("both are there"))
		is_(ask("delete", "ng-b"), (200, b"DELETED\r\n"), t("delete"))
		is_(ask("delete", "ng-b")[0], 404, t("delete of nothing"))
		is_(page("ng-b")[0], 404, t("it is gone"))
		ask("set", "ng-n", b"10")
		is_(count("incr", "ng-n", 5), (201, b"15\r\n"), t("incr"))
		is_(count("decr", "ng-n", 20), (201, b"0\r\n"), t("decr stops at 0"))
		is_(count("incr", "ng-none", 1)[0], 404, t("incr of nothing"))
		long = "ng-" + "k" * 247
		ask("set", long, b"long", flags=7)
		is_(page(long), (200, b"long"), t("a key of 250"))
		is_(ask("set", "ng-big", BIG)[0], 201, t("a million bytes"))
		ok(page("ng-big") == (200, BIG), t("come back"))
		ok(page("ng-big") == (200, BIG), t("and again"))
		is_(ask("set", "ng-big", TOO_BIG)[0] in (200, 201), False, t("more than a mebibyte is refused"))
		is_(page("ng-big")[0], 404, t("and the old value is gone with it"))
		ask("set", "ng-e", b"x", exptime=1)
		try:
			wait_for(lambda: page("ng-e")[0] == 404, what="expiry")
			ok(True, t("what was set for a second goes"))
		except TimeoutError:
			ok(False, t("what was set for a second goes"))
		wrong = 0
		for i in range(200):
			wrong += ask("set", "ng-q%d" % i, b"value of %d" % i)[0] != 201
		for i in range(200):
			wrong += page("ng-q%d" % i) != (200, b"value of %d" % i)
		is_(wrong, 0, t("200 sets and gets over kept connections"))
		like(ask("version")[1], rb"1\.\d+\.\d+", t("version"))
		like(ask("stats")[1], rb"STAT pid \d+\r\n", t("stats"))
		is_(ask("flush_all")[1], b"OK\r\n", t("flush_all"))
		is_(page("ng-a")[0], 404, t("all is gone"))
		web.close()


for mode, kv in all_modes(["-t", "2"]):
	day(kv, mode)
done_testing()
