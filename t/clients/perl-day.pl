#!/usr/bin/perl
# An application's day with Cache::Memcached::Fast: perl-day.pl HOST:PORT; TAP. Run by t/50-clients.t against kvgate.
use strict;
use warnings;
use Cache::Memcached::Fast;
use Test::More;
use Time::HiRes qw(sleep time);

my $server = shift;

sub connected { Cache::Memcached::Fast->new({ servers => [$server], namespace => 'pl:', max_size => 8 * 1024 * 1024, @_ }) }

sub becomes {
	my ($what, $check) = @_;
	my $end = time + 20;
	sleep 0.01 until $check->() or time > $end;
	ok $check->(), $what;
}

my $mc = connected();
ok defined(($mc->server_versions)->{$server}), 'version';

# one by one
ok $mc->set('a', 'one'), 'set';
is $mc->get('a'), 'one', 'get';
ok !$mc->add('a', 'two'), 'add over something';
ok $mc->add('b', 'two'), 'add over nothing';
ok !$mc->replace('none', 'x'), 'replace of nothing';
ok $mc->replace('b', 'three'), 'replace of something';
ok $mc->append('a', '-end'), 'append';
ok $mc->prepend('a', 'start-'), 'prepend';
is $mc->get('a'), 'start-one-end', 'both are there';
ok !$mc->append('none', 'x'), 'append to nothing';
ok $mc->delete('b'), 'delete';
ok !$mc->delete('b'), 'delete of nothing';
is $mc->get('b'), undef, 'it is gone';

# counters
$mc->set('n', 10);
is $mc->incr('n', 5), 15, 'incr';
cmp_ok $mc->decr('n', 20), '==', 0, 'decr stops at 0';
ok !$mc->incr('none'), 'incr of nothing';
$mc->set_multi(['n1', 1], ['n2', 2]);
is_deeply scalar($mc->incr_multi(['n1', 10], ['n2', 20], ['none', 1])), { n1 => 11, n2 => 22, none => '' }, 'incr of several';

# cas
my $other = connected();
$mc->set('c', 'first');
my $had = $mc->gets('c');
is $had->[1], 'first', 'gets';
$other->set('c', 'theirs');
my $lost = $mc->cas('c', $had->[0], 'mine');
ok defined($lost) && !$lost, 'cas meets the conflict';
$had = $mc->gets('c');
ok $mc->cas('c', $had->[0], 'mine'), 'cas with the new unique';
is $other->get('c'), 'mine', 'the other sees it';
$had = $mc->gets_multi('c', 'a', 'none');
is join(' ', sort keys %$had), 'a c', 'gets of several';

# awkward values
my $nasty = join('', map chr, 0 .. 255) . "\r\nEND\r\nVALUE x 0 1\r\n\0\r\n";
my $long = 'k' x 247;	# with the namespace 250
ok $mc->set($long, $nasty), 'a key of 250, a nasty value';
is $mc->get($long), $nasty, 'comes back';
ok $mc->set('empty', ''), 'an empty value';
is $mc->get('empty'), '', 'comes back';
my $big = pack 'N*', map int(rand(2**32)), 1 .. 250_000;
ok $mc->set('big', $big), 'a million bytes';
ok $mc->get('big') eq $big, 'come back';
ok !$mc->set('big', 'x' x (1024 * 1024 + 1)), 'more than a mebibyte is refused';
is $mc->get('big'), undef, 'and the old value is gone with it';
ok $mc->set('ref', { list => [1 .. 5], text => $nasty }), 'a structure';
is_deeply $mc->get('ref'), { list => [1 .. 5], text => $nasty }, 'comes back: its flags did too';

# 100 at once
my @keys = map "m$_", 0 .. 99;
my $stored = $mc->set_multi(map [$_, "value of $_"], grep !/[13579]$/, @keys);
is scalar(grep $_, values %$stored), 50, 'a set of 50';
is_deeply $mc->get_multi(@keys), { map { $_ => "value of $_" } grep !/[13579]$/, @keys }, 'a get of 100 finds the 50';
is scalar(grep $_, values %{$mc->delete_multi(@keys)}), 50, 'a delete of 100 deletes the 50';
is_deeply $mc->get_multi(@keys), {}, 'and they are gone';

# expiry, touch, gat
$mc->set('e1', 'x', 1);
$mc->set('e2', 'x', 1);
$mc->set('e3', 'x');
$mc->set('e4', 'x', 1);
ok $mc->touch('e2', 1000), 'touch';
ok $mc->touch('e3', 1), 'touch to a shorter life';
ok !$mc->touch('none', 1), 'touch of nothing';
is $mc->gat(1000, 'e4'), 'x', 'gat';
is $mc->gat(1000, 'none'), undef, 'gat of nothing';
$had = $mc->gats(1000, 'e4');
is $had->[1], 'x', 'gats';
ok $mc->cas('e4', $had->[0], 'y', 1000), 'its unique serves for cas';
is_deeply $mc->gat_multi(1000, 'e4', 'a', 'none'), { e4 => 'y', a => 'start-one-end' }, 'gat of several';
becomes 'what was set for a second goes', sub { !defined $mc->get('e1') };
becomes 'what was touched for a second goes', sub { !defined $mc->get('e3') };
is $mc->get('e2'), 'x', 'what was touched for longer stays';
is $mc->get('e4'), 'y', 'what was got and touched stays';

# without waiting for answers, the library pipelines them all
my $fast = connected(nowait => 1);
$fast->set("w$_", $_) for 0 .. 999;
$fast->append("w$_", '!') for grep $_ % 3 == 0, 0 .. 999;
$fast->delete("w$_") for grep $_ % 5 == 0, 0 .. 999;
$fast->nowait_push;
my $got = $fast->get_multi(map "w$_", 0 .. 999);
is_deeply $got, { map { ("w$_" => $_ % 3 ? "$_" : "$_!") } grep $_ % 5, 0 .. 999 }, '1534 writes without waiting, then read';

$mc->flush_all;
is $mc->get('a'), undef, 'flush_all';
ok $mc->set('a', 'again'), 'set after it';
is $mc->get('a'), 'again', 'stays';
$mc->disconnect_all;
is $mc->get('a'), 'again', 'a new connection';
done_testing();
