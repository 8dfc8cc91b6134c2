// An application's day with gomemcache: gomemcache-day day HOST:PORT; TAP. Run by t/clients/gomemcache.t against kvgate.
//
// With "fill FILE SERVER ..." it sets the keys of a file, one a line, in a fleet.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

var count, failed int

func ok(good bool, format string, args ...interface{}) {
	count++
	not := ""
	if !good {
		not = "not "
		failed++
	}
	fmt.Printf("%sok %d - %s\n", not, count, fmt.Sprintf(format, args...))
}

func is(got, want error, what string) {
	ok(got == want, what)
	if got != want {
		fmt.Printf("# got %v, want %v\n", got, want)
	}
}

func connected(server string) *memcache.Client {
	mc := memcache.New(server)
	mc.Timeout = 20 * time.Second
	return mc
}

func item(key, value string) *memcache.Item {
	return &memcache.Item{Key: key, Value: []byte(value)}
}

func has(mc *memcache.Client, key string, value []byte, flags uint32, what string) {
	it, err := mc.Get(key)
	good := err == nil && bytes.Equal(it.Value, value) && it.Flags == flags
	ok(good, what)
	if !good {
		fmt.Printf("# %v\n", err)
	}
}

func gone(mc *memcache.Client, key, what string) {
	_, err := mc.Get(key)
	is(err, memcache.ErrCacheMiss, what)
}

func becomesGone(mc *memcache.Client, key, what string) {
	var err error
	for i := 0; i < 2000; i++ {
		if _, err = mc.Get(key); err == memcache.ErrCacheMiss {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	is(err, memcache.ErrCacheMiss, what)
}

func stores(mc, other *memcache.Client) {
	is(mc.Set(item("go-a", "one")), nil, "set")
	has(other, "go-a", []byte("one"), 0, "get")
	is(mc.Add(item("go-a", "two")), memcache.ErrNotStored, "add over something")
	is(mc.Add(&memcache.Item{Key: "go-b", Value: []byte("two"), Flags: 4294967295}), nil, "add over nothing")
	has(other, "go-b", []byte("two"), 4294967295, "with the largest flags")
	is(mc.Replace(item("go-none", "x")), memcache.ErrNotStored, "replace of nothing")
	is(mc.Replace(item("go-b", "three")), nil, "replace of something")
	has(other, "go-b", []byte("three"), 0, "another connection sees it")
	is(mc.Delete("go-b"), nil, "delete")
	is(mc.Delete("go-b"), memcache.ErrCacheMiss, "delete of nothing")
	gone(other, "go-b", "it is gone")
}

func counts(mc *memcache.Client) {
	mc.Set(item("go-n", "10"))
	n, err := mc.Increment("go-n", 5)
	ok(n == 15 && err == nil, "incr")
	n, err = mc.Decrement("go-n", 20)
	ok(n == 0 && err == nil, "decr stops at 0")
	_, err = mc.Increment("go-none", 1)
	is(err, memcache.ErrCacheMiss, "incr of nothing")
	mc.Set(item("go-n", "ten"))
	_, err = mc.Increment("go-n", 1)
	ok(err != nil && strings.Contains(err.Error(), "non-numeric"), "incr of a word is refused")
}

func compares(mc, other *memcache.Client) {
	mc.Set(item("go-c", "first"))
	it, err := mc.Get("go-c")
	ok(err == nil, "gets")
	other.Set(item("go-c", "theirs"))
	it.Value = []byte("mine")
	is(mc.CompareAndSwap(it), memcache.ErrCASConflict, "cas meets the conflict")
	it, _ = mc.Get("go-c")
	it.Value = []byte("mine")
	is(mc.CompareAndSwap(it), nil, "cas with the new unique")
	has(other, "go-c", []byte("mine"), 0, "another connection sees it")
	other.Delete("go-c")
	ok(mc.CompareAndSwap(it) != nil, "cas of nothing")
}

func hurts(mc, other *memcache.Client) {
	nasty := make([]byte, 256)
	for i := range nasty {
		nasty[i] = byte(i)
	}
	nasty = append(nasty, "\r\nEND\r\nVALUE x 0 1\r\n\x00\r\n"...)
	long := "go-" + strings.Repeat("k", 247)
	is(mc.Set(&memcache.Item{Key: long, Value: nasty, Flags: 9}), nil, "a key of 250, a nasty value")
	has(other, long, nasty, 9, "comes back")
	is(mc.Set(item("go-empty", "")), nil, "an empty value")
	has(other, "go-empty", nil, 0, "comes back")
	big := make([]byte, 1000000)
	rand.Read(big)
	is(mc.Set(&memcache.Item{Key: "go-big", Value: big}), nil, "a million bytes")
	has(other, "go-big", big, 0, "come back")
	ok(mc.Set(&memcache.Item{Key: "go-big", Value: make([]byte, 1024*1024+1)}) != nil, "more than a mebibyte is refused")
	gone(other, "go-big", "and the old value is gone with it")
}

func many(mc, other *memcache.Client) {
	var keys []string
	for i := 0; i < 100; i++ {
		key := fmt.Sprintf("go-m%d", i)
		keys = append(keys, key)
		if i%2 == 0 {
			mc.Set(&memcache.Item{Key: key, Value: []byte("value of " + key), Flags: uint32(i)})
		}
	}
	got, err := other.GetMulti(keys)
	ok(err == nil && len(got) == 50, "a get of 100 finds the 50")
	wrong := 0
	for i := 0; i < 100; i += 2 {
		it := got[keys[i]]
		if it == nil || string(it.Value) != "value of "+keys[i] || it.Flags != uint32(i) {
			wrong++
		}
	}
	ok(wrong == 0, "each with its own value")
}

// Eight goroutines, each with keys of its own and one that all count on.
func together(server string) {
	var group sync.WaitGroup
	var mutex sync.Mutex
	wrong := 0
	mc := connected(server)
	mc.Set(item("go-total", "0"))
	for g := 0; g < 8; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			bad := 0
			for i := 0; i < 200; i++ {
				key, value := fmt.Sprintf("go-t%d-%d", g, i%10), fmt.Sprintf("%d-%d", g, i)
				if mc.Set(item(key, value)) != nil {
					bad++
				}
				if it, err := mc.Get(key); err != nil || string(it.Value) != value {
					bad++
				}
				if _, err := mc.Increment("go-total", 1); err != nil {
					bad++
				}
			}
			mutex.Lock()
			wrong += bad
			mutex.Unlock()
		}(g)
	}
	group.Wait()
	ok(wrong == 0, "8 goroutines, 4800 requests, each reads what it wrote")
	n, _ := mc.Increment("go-total", 0)
	ok(n == 1600, "and no increment is lost")
}

func expires(mc, other *memcache.Client) {
	for _, it := range []memcache.Item{{Key: "go-e1", Expiration: 1}, {Key: "go-e2", Expiration: 1}, {Key: "go-e3"}} {
		it.Value = []byte("x")
		mc.Set(&it)
	}
	is(mc.Touch("go-e2", 1000), nil, "touch")
	has(other, "go-e3", []byte("x"), 0, "read by another before")
	is(mc.Touch("go-e3", 1), nil, "touch to a shorter life")
	is(mc.Touch("go-none", 1), memcache.ErrCacheMiss, "touch of nothing")
	becomesGone(mc, "go-e1", "what was set for a second goes")
	becomesGone(other, "go-e3", "what was touched for a second goes")
	has(mc, "go-e2", []byte("x"), 0, "what was touched for longer stays")
}

func flushes(mc, other *memcache.Client) {
	is(mc.FlushAll(), nil, "flush_all")
	gone(other, "go-a", "all is gone")
	is(mc.Set(item("go-a", "again")), nil, "set after it")
	has(other, "go-a", []byte("again"), 0, "stays")
	is(mc.DeleteAll(), nil, "delete all")
	gone(other, "go-a", "all is gone again")
}

func fill(path string, servers []string) {
	mc := memcache.New(servers...)
	mc.Timeout = 20 * time.Second
	in, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		key := lines.Text()
		value := key
		if len(value) > 40 {
			value = value[:40]
		}
		if err := mc.Set(item(key, "of "+value)); err != nil {
			panic(err)
		}
	}
}

func main() {
	if os.Args[1] == "fill" {
		fill(os.Args[2], os.Args[3:])
		return
	}
	mc, other := connected(os.Args[2]), connected(os.Args[2])
	stores(mc, other)
	counts(mc)
	compares(mc, other)
	hurts(mc, other)
	many(mc, other)
	together(os.Args[2])
	expires(mc, other)
	flushes(mc, other)
	fmt.Printf("1..%d\n", count)
	if failed > 0 {
		os.Exit(1)
	}
}
