<?php
// An application's day with php-memcached: php php-day.php HOST PORT; TAP. Run by t/clients/php.t against kvgate.

$count = 0;
$failed = 0;

function ok($good, string $what): void
{
	global $count, $failed;
	$count++;
	$failed += $good ? 0 : 1;
	echo $good ? '' : 'not ', "ok $count - $what\n";
}

function is($got, $want, string $what): void
{
	ok($got === $want, $what);
	if ($got !== $want)
		echo '# got ', substr(json_encode($got), 0, 500), ', want ', substr(json_encode($want), 0, 500), "\n";
}

function connected(array $options = []): Memcached
{
	global $argv;
	$mc = new Memcached();
	$mc->setOptions($options + [Memcached::OPT_TCP_NODELAY => true]);
	$mc->addServer($argv[1], (int)$argv[2]);
	return $mc;
}

function becomes(string $what, callable $check): void
{
	for ($i = 0; $i < 2000 && !$check(); $i++)
		usleep(10000);
	ok($check(), $what);
}

$mc = connected([Memcached::OPT_COMPRESSION => false]);
$other = connected();

// one by one
ok($mc->set('php-a', 'one'), 'set');
is($mc->get('php-a'), 'one', 'get');
is($mc->add('php-a', 'two'), false, 'add over something');
is($mc->getResultCode(), Memcached::RES_NOTSTORED, 'says not stored');
ok($mc->add('php-b', ['list' => [1, 2.5, null], 'text' => 'é']), 'add of an array');
is($other->get('php-b'), ['list' => [1, 2.5, null], 'text' => 'é'], 'comes back: its flags did too');
is($mc->replace('php-none', 'x'), false, 'replace of nothing');
ok($mc->replace('php-b', 'three'), 'replace of something');
ok($mc->append('php-a', '-end') && $mc->prepend('php-a', 'start-'), 'append, prepend');
is($other->get('php-a'), 'start-one-end', 'another connection sees both');
ok($mc->delete('php-b'), 'delete');
is($mc->delete('php-b'), false, 'delete of nothing');
is($mc->getResultCode(), Memcached::RES_NOTFOUND, 'says not found');
is($other->get('php-b'), false, 'it is gone');
$mc->set('php-int', 42);
$mc->set('php-true', true);
is([$other->get('php-int'), $other->get('php-true')], [42, true], 'numbers and truth keep their type');

// counters
$mc->set('php-n', 10);
is($mc->increment('php-n', 5), 15, 'increment');
is($mc->decrement('php-n', 20), 0, 'decrement stops at 0');
is($mc->increment('php-none', 1), false, 'increment of nothing');

// cas
$mc->set('php-c', 'first');
$had = $mc->get('php-c', null, Memcached::GET_EXTENDED);
is($had['value'], 'first', 'get with its cas');
$other->set('php-c', 'theirs');
is($mc->cas($had['cas'], 'php-c', 'mine'), false, 'cas meets the conflict');
is($mc->getResultCode(), Memcached::RES_DATA_EXISTS, 'says data exists');
$had = $mc->get('php-c', null, Memcached::GET_EXTENDED);
ok($mc->cas($had['cas'], 'php-c', 'mine'), 'cas with the new unique');
is($other->get('php-c'), 'mine', 'the other sees it');

// awkward values
$nasty = implode('', array_map('chr', range(0, 255))) . "\r\nEND\r\nVALUE x 0 1\r\n\0\r\n";
$long = 'php-' . str_repeat('k', 246);
ok($mc->set($long, $nasty), 'a key of 250, a nasty value');
is($other->get($long) === $nasty, true, 'comes back');
ok($mc->set('php-empty', ''), 'an empty value');
is($other->get('php-empty'), '', 'comes back');
mt_srand(1);
$big = '';
for ($i = 0; $i < 250000; $i++)
	$big .= pack('N', mt_rand());
ok($mc->set('php-big', $big), 'a million bytes');
ok($other->get('php-big') === $big, 'come back');
is($mc->set('php-big', str_repeat('x', 1024 * 1024 + 1)), false, 'more than a mebibyte is refused');
$mc->quit();
is($other->get('php-big'), false, 'and the old value is gone with it');
$squeezed = connected([Memcached::OPT_COMPRESSION => true]);
ok($squeezed->set('php-squeezed', str_repeat('abc', 100000)), 'a value that the client compresses');
ok($other->get('php-squeezed') === str_repeat('abc', 100000), 'comes back');

// 100 at once
$values = $keys = [];
for ($i = 0; $i < 100; $i++) {
	$keys[] = "php-m$i";
	if ($i % 2 == 0)
		$values["php-m$i"] = "value of $i";
}
ok($mc->setMulti($values), 'a set of 50');
$got = $other->getMulti($keys);
ksort($got);
ksort($values);
is($got, $values, 'a get of 100 finds the 50');
$got = $other->getMulti($keys, Memcached::GET_PRESERVE_ORDER);
is(array_keys($got), $keys, 'and in order if so wished');
$other->getDelayed(array_keys($values), true);
is(count($other->fetchAll()), 50, 'a delayed get of 50');
$mc->deleteMulti(array_keys($values));
is($other->getMulti($keys), [], 'a delete of 50');

// expiry
$mc->set('php-e1', 'x', 1);
$mc->set('php-e2', 'x', 1);
$mc->set('php-e3', 'x');
ok($mc->touch('php-e2', 1000), 'touch');
is($other->get('php-e3'), 'x', 'read by another before');
ok($mc->touch('php-e3', 1), 'touch to a shorter life');
is($mc->touch('php-none', 1), false, 'touch of nothing');
becomes('what was set for a second goes', fn() => $mc->get('php-e1') === false);
becomes('what was touched for a second goes', fn() => $other->get('php-e3') === false);
is($mc->get('php-e2'), 'x', 'what was touched for longer stays');

// habits
foreach (['OPT_NO_BLOCK', 'OPT_BUFFER_WRITES', 'OPT_NOREPLY'] as $habit) {
	$fast = connected([constant("Memcached::$habit") => true]);
	for ($i = 0; $i < 500; $i++)
		$fast->set('php-q' . $i % 100, $i);
	$fast->flushBuffers();
	$got = $fast->getMulti(array_map(fn($i) => "php-q$i", range(0, 99)));
	is([count($got), $got['php-q0'] ?? null, $got['php-q99'] ?? null], [100, 400, 499], "500 sets with $habit, the last ones win");
}

$stats = $mc->getStats();
ok($stats && reset($stats)['pid'] > 0 && reset($stats)['cmd_get'] > 0, 'stats');
ok(preg_match('/^1\.\d+\.\d+/', (string)current($mc->getVersion())), 'version');
ok($mc->flush(), 'flush');
is($other->get('php-a'), false, 'all is gone');
ok($mc->set('php-a', 'again'), 'set after it');
is($other->get('php-a'), 'again', 'stays');
$mc->quit();
is($mc->get('php-a'), 'again', 'quit and a new connection');

echo "1..$count\n";
exit($failed ? 1 : 0);
