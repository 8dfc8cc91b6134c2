/*
 * options.h - one row per option letter and per line of `stats settings`.
 *
 * OPT(letter, long name, argument, kind, field, default, min, max, settings name, help)
 *	letter 0: long only. argument NULL: none. kind: see conf/table.h. field: AT(member of struct conf) or 0. The numbers
 *	bound what is stored, so sizes are bytes. settings name "": not shown. --help prints argument and help.
 * SUBOPT(name, kind, help)
 *	words of -o; SO_IGNORED ones are accepted with a warning, the others have a line of code.
 * SETTING(name, value)
 *	knobs of memcached that monitors expect to see but that do not exist here; their value never changes.
 */
#ifdef OPT
OPT('p', "port", "num", OK_PORT, 0, 11211, 0, 65535, "",
    "TCP port to listen on, 0 for none, -1 for any free one")
OPT('U', "udp-port", "num", OK_UDP, 0, 0, 0, 65535, "",
    "accepted for memcached's sake: UDP is never served")
OPT('s', "unix-socket", "file", OK_STR, AT(sock_path), 0, 0, 0, "",
    "UNIX socket to listen on instead of TCP")
OPT('a', "unix-mask", "mask", OK_OCTAL, AT(sock_mode), 0700, 0, 0777, "",
    "access mode of the UNIX socket, octal")
OPT('A', "enable-shutdown", NULL, OK_FLAG, AT(shutdown_command), 0, 0, 0, "shutdown_command",
    "obey the \"shutdown\" command")
OPT('l', "listen", "addr", OK_LISTEN, 0, 0, 0, 0, "",
    "address to listen on: host, host:port, [ipv6]:port, several with commas; all addresses if not given")
OPT('d', "daemon", NULL, OK_FLAG, AT(daemonize), 0, 0, 0, "",
    "run in the background")
OPT('r', "enable-coredumps", NULL, OK_FLAG, AT(core_dumps), 0, 0, 0, "",
    "raise the limit for core files")
OPT('u', "user", "name", OK_STR, AT(user), 0, 0, 0, "",
    "become this user (when started as root)")
OPT('m', "memory-limit", "size", OK_MB, AT(memory), 67108864, 1048576, 17592186044416, "maxbytes",
    "memory for items in megabytes, or with k, m, g, t")
OPT('M', "disable-evictions", NULL, OK_FLAG, AT(no_evict), 0, 0, 0, "",
    "answer with an error when memory is full instead of evicting")
OPT('c', "conn-limit", "num", OK_UINT, AT(maxconns), 1024, 1, 10000000, "maxconns",
    "most connections at one time")
OPT('k', "lock-memory", NULL, OK_FLAG, AT(lock_memory), 0, 0, 0, "",
    "lock all memory into RAM")
OPT('v', "verbose", NULL, OK_COUNT, AT(verbose), 0, 0, 0, "verbosity",
    "say more: -v connections, -vv commands too")
OPT('h', "help", NULL, OK_HELP, 0, 0, 0, 0, "", "print this and exit")
OPT('i', "license", NULL, OK_LICENSE, 0, 0, 0, 0, "", "print the license and exit")
OPT('V', "version", NULL, OK_VERSION, 0, 0, 0, 0, "", "print the version and exit")
OPT('P', "pidfile", "file", OK_STR, AT(pidfile), 0, 0, 0, "",
    "write the process id there")
OPT('f', "slab-growth-factor", "num", OK_IGNORED, 0, 0, 0, 0, "", "")
OPT('n', "slab-min-size", "bytes", OK_IGNORED, 0, 0, 0, 0, "", "")
OPT('L', "enable-largepages", NULL, OK_FLAG, AT(large_pages), 0, 0, 0, "",
    "keep items in large memory pages")
OPT('D', NULL, "char", OK_PREFIX, 0, ':', 0, 0, "",
    "what ends a key's prefix in \"stats detail\"; turns it on")
OPT('t', "threads", "num", OK_UINT, AT(threads), 4, 1, 1024, "num_threads",
    "worker threads")
OPT('R', "max-reqs-per-event", "num", OK_UINT, AT(reqs_per_event), 1024, 1, 2147483647, "reqs_per_event",
    "commands of one client before the others get their turn")
OPT('C', "disable-cas", NULL, OK_FLAG, AT(no_cas), 0, 0, 0, "",
    "no CAS values")
OPT('b', "listen-backlog", "num", OK_UINT, AT(backlog), 1024, 0, 2147483647, "tcp_backlog",
    "connections waiting to be accepted")
OPT('B', "protocol", "name", OK_PROTOCOL, 0, 0, 0, 0, "",
    "auto or ascii; binary is not served")
OPT('I', "max-item-size", "size", OK_SIZE, AT(item_max), 1048576, 1024, 1073741824, "item_size_max",
    "largest item in bytes, or with k, m, g")
OPT('S', "enable-sasl", NULL, OK_REFUSED, 0, 0, 0, 0, "", "SASL")
OPT('F', "disable-flush-all", NULL, OK_FLAG, AT(no_flush), 0, 0, 0, "",
    "refuse \"flush_all\"")
OPT('X', "disable-dumping", NULL, OK_FLAG, AT(no_dump), 0, 0, 0, "",
    "refuse \"stats cachedump\" and \"lru_crawler metadump\"")
OPT('W', "disable-watch", NULL, OK_FLAG, AT(no_watch), 0, 0, 0, "",
    "refuse \"watch\"")
OPT('Y', "auth-file", "file", OK_REFUSED, 0, 0, 0, 0, "", "authentication")
OPT('Z', "enable-ssl", NULL, OK_REFUSED, 0, 0, 0, 0, "", "TLS")
OPT('e', "memory-file", "file", OK_IGNORED, 0, 0, 0, 0, "", "")
OPT('N', "napi-ids", "num", OK_IGNORED, 0, 0, 0, 0, "", "")
OPT('o', "extended", "list", OK_EXTENDED, 0, 0, 0, 0, "",
    "memcached's extended options, comma separated; of use here:")
OPT(0, "check", "file", OK_CHECK, 0, 0, 0, 0, "",
    "say what is wrong with a configuration file and exit")
#endif

#ifdef SUBOPT
SUBOPT("idle_timeout", SO_IDLE_TIMEOUT, "seconds after which a silent client is disconnected, 0 never")
SUBOPT("read_buf_mem_limit", SO_BUFFER_MAX, "megabytes of buffers of all clients together, 0 for the default")
SUBOPT("maxconns_fast", SO_NOTHING, "")
SUBOPT("modern", SO_NOTHING, "")
SUBOPT("no_modern", SO_IGNORED, "")
SUBOPT("no_maxconns_fast", SO_IGNORED, "")
SUBOPT("hashpower", SO_IGNORED, "")
SUBOPT("no_hashexpand", SO_IGNORED, "")
SUBOPT("slab_reassign", SO_IGNORED, "")
SUBOPT("no_slab_reassign", SO_IGNORED, "")
SUBOPT("slab_automove", SO_IGNORED, "")
SUBOPT("no_slab_automove", SO_IGNORED, "")
SUBOPT("slab_automove_ratio", SO_IGNORED, "")
SUBOPT("slab_automove_window", SO_IGNORED, "")
SUBOPT("slab_automove_freeratio", SO_IGNORED, "")
SUBOPT("slab_sizes", SO_IGNORED, "")
SUBOPT("slab_chunk_max", SO_IGNORED, "")
SUBOPT("no_chunked_items", SO_IGNORED, "")
SUBOPT("tail_repair_time", SO_IGNORED, "")
SUBOPT("hash_algorithm", SO_IGNORED, "")
SUBOPT("lru_crawler", SO_IGNORED, "")
SUBOPT("no_lru_crawler", SO_IGNORED, "")
SUBOPT("lru_crawler_sleep", SO_IGNORED, "")
SUBOPT("lru_crawler_tocrawl", SO_IGNORED, "")
SUBOPT("lru_maintainer", SO_IGNORED, "")
SUBOPT("no_lru_maintainer", SO_IGNORED, "")
SUBOPT("hot_lru_pct", SO_IGNORED, "")
SUBOPT("warm_lru_pct", SO_IGNORED, "")
SUBOPT("hot_max_factor", SO_IGNORED, "")
SUBOPT("warm_max_factor", SO_IGNORED, "")
SUBOPT("temporary_ttl", SO_IGNORED, "")
SUBOPT("watcher_logbuf_size", SO_IGNORED, "")
SUBOPT("worker_logbuf_size", SO_IGNORED, "")
SUBOPT("track_sizes", SO_IGNORED, "")
SUBOPT("inline_ascii_resp", SO_IGNORED, "")
SUBOPT("no_inline_ascii_resp", SO_IGNORED, "")
SUBOPT("drop_privileges", SO_IGNORED, "")
SUBOPT("no_drop_privileges", SO_IGNORED, "")
SUBOPT("relaxed_privileges", SO_IGNORED, "")
SUBOPT("resp_obj_mem_limit", SO_IGNORED, "")
SUBOPT("sock_cookie_id", SO_IGNORED, "")
SUBOPT("ext_path", SO_IGNORED, "")
SUBOPT("ext_page_size", SO_IGNORED, "")
SUBOPT("ext_wbuf_size", SO_IGNORED, "")
SUBOPT("ext_threads", SO_IGNORED, "")
SUBOPT("ext_io_depth", SO_IGNORED, "")
SUBOPT("ext_item_size", SO_IGNORED, "")
SUBOPT("ext_item_age", SO_IGNORED, "")
SUBOPT("ext_low_ttl", SO_IGNORED, "")
SUBOPT("ext_recache_rate", SO_IGNORED, "")
SUBOPT("ext_compact_under", SO_IGNORED, "")
SUBOPT("ext_drop_under", SO_IGNORED, "")
SUBOPT("ext_max_sleep", SO_IGNORED, "")
SUBOPT("ext_max_frag", SO_IGNORED, "")
SUBOPT("ext_drop_unread", SO_IGNORED, "")
#endif

#ifdef SETTING
SETTING("udpport", "0")
SETTING("oldest", "0")
SETTING("growth_factor", "1.25")
SETTING("chunk_size", "48")
SETTING("num_threads_per_udp", "0")
SETTING("binding_protocol", "ascii")
SETTING("auth_enabled_sasl", "no")
SETTING("auth_enabled_ascii", "no")
SETTING("maxconns_fast", "yes")
SETTING("hashpower_init", "0")
SETTING("slab_reassign", "yes")
SETTING("slab_automove", "1")
SETTING("slab_automove_ratio", "0.80")
SETTING("slab_automove_window", "10")
SETTING("slab_chunk_max", "524288")
SETTING("lru_crawler", "no")
SETTING("lru_crawler_sleep", "100")
SETTING("lru_crawler_tocrawl", "0")
SETTING("tail_repair_time", "0")
SETTING("hash_algorithm", "xxh3")
SETTING("lru_maintainer_thread", "no")
SETTING("lru_segmented", "no")
SETTING("hot_lru_pct", "0")
SETTING("warm_lru_pct", "0")
SETTING("hot_max_factor", "0.00")
SETTING("warm_max_factor", "0.00")
SETTING("temp_lru", "no")
SETTING("temporary_ttl", "0")
SETTING("watcher_logbuf_size", "0")
SETTING("worker_logbuf_size", "0")
SETTING("track_sizes", "no")
SETTING("inline_ascii_response", "no")
SETTING("num_napi_ids", "0")
SETTING("memory_file", "(null)")
SETTING("client_flags_size", "4")
#endif
