/*
 * An application's day with spymemcached (text protocol): SpymemcachedDay HOST PORT; TAP. Run by t/clients/spymemcached.t against
 * kvgate.
 */
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Future;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.ConnectionFactoryBuilder;
import net.spy.memcached.MemcachedClient;
import net.spy.memcached.transcoders.SerializingTranscoder;

public class SpymemcachedDay {
	static int count, failed;
	static InetSocketAddress server;

	static void ok(boolean good, String what) {
		count++;
		failed += good ? 0 : 1;
		System.out.println((good ? "" : "not ") + "ok " + count + " - " + what);
	}

	static void is(Object got, Object want, String what) {
		boolean same = want == null ? got == null : want.equals(got);

		ok(same, what);
		if (!same)
			System.out.println("# got " + got + ", want " + want);
	}

	static MemcachedClient connected() throws Exception {
		SerializingTranscoder plain = new SerializingTranscoder(8 << 20);

		plain.setCompressionThreshold(Integer.MAX_VALUE);
		return new MemcachedClient(new ConnectionFactoryBuilder().setProtocol(ConnectionFactoryBuilder.Protocol.TEXT)
		    .setOpTimeout(20000).setTranscoder(plain).build(), Arrays.asList(server));
	}

	static void becomesGone(MemcachedClient mc, String key, String what) throws Exception {
		for (int i = 0; i < 2000 && mc.get(key) != null; i++)
			Thread.sleep(10);
		is(mc.get(key), null, what);
	}

	static void stores(MemcachedClient mc, MemcachedClient other) throws Exception {
		ok(mc.set("spy-a", 0, "one").get(), "set");
		is(mc.get("spy-a"), "one", "get");
		ok(!mc.add("spy-a", 0, "two").get(), "add over something");
		ok(mc.add("spy-b", 0, 42).get(), "add of a number");
		is(other.get("spy-b"), 42, "comes back: its flags did too");
		ok(!mc.replace("spy-none", 0, "x").get(), "replace of nothing");
		ok(mc.replace("spy-b", 0, "three").get(), "replace of something");
		ok(mc.append("spy-a", "-end").get() && mc.prepend("spy-a", "start-").get(), "append, prepend");
		is(other.get("spy-a"), "start-one-end", "another connection sees both");
		ok(!mc.append("spy-none", "x").get(), "append to nothing");
		ok(mc.delete("spy-b").get(), "delete");
		ok(!mc.delete("spy-b").get(), "delete of nothing");
		is(other.get("spy-b"), null, "it is gone");
	}

	static void counts(MemcachedClient mc) throws Exception {
		mc.set("spy-n", 0, "10").get();
		is(mc.incr("spy-n", 5), 15L, "incr");
		is(mc.decr("spy-n", 20), 0L, "decr stops at 0");
		is(mc.incr("spy-none", 1), -1L, "incr of nothing");
		is(mc.incr("spy-default", 1, 7L), 7L, "incr of nothing with a default");
		is(mc.incr("spy-default", 1, 7L), 8L, "and of something");
	}

	static void compares(MemcachedClient mc, MemcachedClient other) throws Exception {
		mc.set("spy-c", 0, "first").get();
		CASValue<Object> had = mc.gets("spy-c");

		is(had.getValue(), "first", "gets");
		other.set("spy-c", 0, "theirs").get();
		is(mc.cas("spy-c", had.getCas(), "mine"), CASResponse.EXISTS, "cas meets the conflict");
		had = mc.gets("spy-c");
		is(mc.cas("spy-c", had.getCas(), "mine"), CASResponse.OK, "cas with the new unique");
		is(other.get("spy-c"), "mine", "another connection sees it");
		is(mc.cas("spy-none", had.getCas(), "x"), CASResponse.NOT_FOUND, "cas of nothing");
	}

	static void hurts(MemcachedClient mc, MemcachedClient other) throws Exception {
		byte[] nasty = new byte[300], big = new byte[1000000];
		byte[] reply = "\r\nEND\r\nVALUE x 0 1\r\n\0\r\n".getBytes();
		char[] ks = new char[246];

		for (int i = 0; i < 256; i++)
			nasty[i] = (byte)i;
		System.arraycopy(reply, 0, nasty, 256, reply.length);
		Arrays.fill(ks, 'k');
		String key = "spy-" + new String(ks);
		ok(mc.set(key, 0, nasty).get(), "a key of 250, a nasty value");
		ok(Arrays.equals((byte[])other.get(key), nasty), "comes back");
		ok(mc.set("spy-empty", 0, "").get(), "an empty value");
		is(other.get("spy-empty"), "", "comes back");
		new Random(1).nextBytes(big);
		ok(mc.set("spy-big", 0, big).get(), "a million bytes");
		ok(Arrays.equals((byte[])other.get("spy-big"), big), "come back");
		boolean refused;
		try {
			refused = !mc.set("spy-big", 0, new byte[1024 * 1024 + 1]).get();
		} catch (Exception e) {
			refused = true;
		}
		ok(refused, "more than a mebibyte is refused");
		becomesGone(other, "spy-big", "and the old value is gone with it");
		is(mc.get("spy-a"), "start-one-end", "the connection goes on");
	}

	static void many(MemcachedClient mc, MemcachedClient other) throws Exception {
		List<String> keys = new ArrayList<>();
		List<Future<Boolean>> sets = new ArrayList<>();
		int wrong = 0;

		for (int i = 0; i < 100; i++) {
			keys.add("spy-m" + i);
			if (i % 2 == 0)
				sets.add(mc.set("spy-m" + i, 0, "value of " + i));
		}
		for (Future<Boolean> f : sets)
			wrong += f.get() ? 0 : 1;
		is(wrong, 0, "50 sets in a pipeline");
		Map<String, Object> got = other.getBulk(keys);
		is(got.size(), 50, "a get of 100 finds the 50");
		for (int i = 0; i < 100; i += 2)
			wrong += ("value of " + i).equals(got.get("spy-m" + i)) ? 0 : 1;
		is(wrong, 0, "each with its own value");
	}

	/* Everything in flight at once; spymemcached also joins gets that wait into one command. */
	static void pipelines(MemcachedClient mc) throws Exception {
		List<Future<Boolean>> sets = new ArrayList<>();
		List<Future<Object>> gets = new ArrayList<>();
		int wrong = 0;

		for (int i = 0; i < 2000; i++) {
			sets.add(mc.set("spy-q" + i % 500, 0, "" + i));
			if (i >= 1500)
				gets.add(mc.asyncGet("spy-q" + i % 500));
		}
		for (Future<Boolean> f : sets)
			wrong += f.get() ? 0 : 1;
		is(wrong, 0, "2000 sets in flight");
		for (int i = 0; i < 500; i++)
			wrong += ("" + (1500 + i)).equals(gets.get(i).get()) ? 0 : 1;
		is(wrong, 0, "500 gets between them, each behind its set");
	}

	static void expires(MemcachedClient mc, MemcachedClient other) throws Exception {
		mc.set("spy-e1", 1, "x").get();
		mc.set("spy-e2", 1, "x").get();
		mc.set("spy-e3", 0, "x").get();
		ok(mc.touch("spy-e2", 1000).get(), "touch");
		is(other.get("spy-e3"), "x", "read by another before");
		ok(mc.touch("spy-e3", 1).get(), "touch to a shorter life");
		ok(!mc.touch("spy-none", 1).get(), "touch of nothing");
		becomesGone(mc, "spy-e1", "what was set for a second goes");
		becomesGone(other, "spy-e3", "what was touched for a second goes");
		is(mc.get("spy-e2"), "x", "what was touched for longer stays");
	}

	static void rest(MemcachedClient mc, MemcachedClient other) throws Exception {
		Map<String, String> stats = mc.getStats().values().iterator().next();

		ok(Integer.parseInt(stats.get("pid")) > 0 && Long.parseLong(stats.get("cmd_get")) > 0, "stats");
		ok(mc.getVersions().values().iterator().next().startsWith("1."), "version");
		ok(mc.flush().get(), "flush_all");
		is(other.get("spy-a"), null, "all is gone");
		ok(mc.set("spy-a", 0, "again").get(), "set after it");
		is(other.get("spy-a"), "again", "stays");
	}

	public static void main(String[] args) throws Exception {
		java.util.logging.LogManager.getLogManager().reset();
		System.setProperty("net.spy.log.LoggerImpl", "net.spy.memcached.compat.log.SunLogger");
		server = new InetSocketAddress(args[0], Integer.parseInt(args[1]));
		MemcachedClient mc = connected(), other = connected();

		stores(mc, other);
		counts(mc);
		compares(mc, other);
		hurts(mc, other);
		many(mc, other);
		pipelines(mc);
		expires(mc, other);
		rest(mc, other);
		mc.shutdown();
		other.shutdown();
		System.out.println("1.." + count);
		System.exit(failed > 0 ? 1 : 0);
	}
}
