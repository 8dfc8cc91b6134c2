-- redis.lua - memcached's verbs, each one call and atomic in the server.
--
-- The build cuts this file at its lines "--@ NAME": each part is the script RS_NAME (redis.h). In front of it stands what is
-- before the first such line: of the functions just those that it needs, because making a function takes as long as
-- calling Redis. A part may begin with what is done most often, up to a line "--@@": that comes before the functions.
-- redis_put.c packs ARGV[1], redis_outcome.c reads what is returned; the item's head is proto/envelope.h's. What each verb
-- does is told by cache/verb*.c: the local cache and these must not differ.
--
-- Lua counts in doubles, which hold 53 bits. So versions and uniques are strings of 8 bytes, highest first; they are
-- compared by their halves, never by < on strings, which would ask the locale. Times are milliseconds since 1970 and fit.
--
-- A blind write that knows its place in time (LWW, TOKEN) changes nothing that is as new as it. One that depends on what is
-- there is done whenever it comes, but once: its first answer is kept under ANSWER, and given to those that repeat it.

local call, pack, unpack, band = redis.call, struct.pack, struct.unpack, bit.band
local sub, byte, floor = string.sub, string.byte, math.floor
local KEY, ANSWER = KEYS[1], KEYS[2]
local ZERO, MAGIC = '\0\0\0\0\0\0\0\0', '\241kv\1'

-- op.opts, op.want, the marks of an item, enum op_status, OPR_* bits
local CAS, NEWCAS, TTL, VIVIFY, INVALIDATE = 1, 2, 4, 8, 32
local REMOVE_VAL, NO_BUMP, BINKEY, CLASSIC, LWW, TOKEN = 64, 128, 256, 1024, 4096, 8192
local VALUE, HIT, LA = 1, 8, 16
local STALE, WON, DEAD, BINARY, FETCHED = 1, 2, 4, 8, 16
local OK, MISS, NOT_STORED, EXISTS, ERROR, BADVALUE, ENCODED = 0, 1, 2, 3, 4, 5, 6
local R_WON, R_STALE, R_SENT, R_FETCHED, R_BINKEY, R_ENCODED = 1, 2, 4, 8, 16, 64

local clock
local function usec()
	if not clock then
		local t = call('TIME')
		clock = t[1] * 1000000 + t[2]
	end
	return clock
end

local function msec()
	return floor(usec() / 1000)
end

-- A client's seconds as a moment; 0 never. What is over is 1.
local function moment(ttl)
	if ttl == 0 then return 0 end
	if ttl < 0 then return 1 end
	if ttl <= 2592000 then return msec() + ttl * 1000 end
	return ttl * 1000
end

-- Whole seconds until a moment, as memcached's clock has them; -1 never.
local function left(exp)
	if exp == 0 then return -1 end
	local ms = exp - msec()
	return ms > 0 and floor((ms + 999) / 1000) or 0
end

local function newer(a, b)
	local ah, al = unpack('>I4I4', a)
	local bh, bl = unpack('>I4I4', b)
	return ah > bh or ah == bh and al > bl
end

local function next_after(v)
	local h, l = unpack('>I4I4', v)
	if l < 4294967295 then return pack('>I4I4', h, l + 1) end
	return pack('>I4I4', (h + 1) % 4294967296, 0)
end

-- The same of versions with their nonces; '' is none.
local function after(v, n, w, m)
	if v ~= w then return newer(v, w) end
	if n == m or n == '' then return false end
	if m == '' then return n ~= ZERO .. ZERO end
	for i = 1, 16, 4 do
		local x, y = unpack('>I4', n, i), unpack('>I4', m, i)
		if x ~= y then return x > y end
	end
end

-- The version of a write: what the client says, else what we were given, but above what is there; that was looked at
-- before if the write is blind and knows its place.
local function stamp(opts, newcas, version, old, placed)
	if placed then return version end
	if band(opts, NEWCAS) ~= 0 then return newcas end
	if version == ZERO then version = pack('>I8', usec()) end
	if old and not newer(version, old) then
		local v = next_after(old)
		if v ~= ZERO then return v end
	end
	return version
end

-- Of an item: marks, version, expiry, client flags, where the value begins, nonce, codec, whether there is more to its value
-- than what is stored; false: it is none of ours.
local function parts(item)
	if #item < 28 or sub(item, 1, 4) ~= MAGIC then return false end
	local marks, codec, len, version, exp, flags = unpack('>BBI2c8I8I4', item, 5)
	if len < 28 then return false end
	local encoded = codec ~= 0 or len >= 64 and sub(item, 61, 64) ~= '\0\0\0\0'
	return marks, version, exp, flags, len, len >= 44 and sub(item, 29, 44) or '', codec, encoded
end

-- The same of what is there; nil: nothing.
local function head()
	local item = call('GETRANGE', KEY, 0, 63)
	if item == '' then return nil end
	return parts(item)
end

local function size(len)
	return call('STRLEN', KEY) - len
end

local function value(len)
	return sub(call('GET', KEY), len + 1)
end

-- Writes an item; one that is over by now goes. tail: what its head has beyond 28 bytes.
local function save(marks, version, exp, flags, text, tail, codec)
	local item = pack('>c4BBI2c8I8I4', MAGIC, marks, codec or 0, 28 + #tail, version, exp, flags) .. tail .. text
	if exp == 0 then
		call('SET', KEY, item)
	elseif exp > msec() then
		call('SET', KEY, item, 'PXAT', exp)
	else
		call('DEL', KEY)
	end
end

-- Changes an item's head in place: marks; marks, version and nonce; expiry.
local function mark(marks)
	call('SETRANGE', KEY, 4, pack('B', marks))
end

local function revise(marks, len, version, nonce)
	if len < 44 and nonce ~= '' then
		local item = call('GET', KEY)
		call('SET', KEY, sub(item, 1, 6) .. pack('>I2', 44) .. sub(item, 9, 28) .. nonce .. sub(item, len + 1), 'KEEPTTL')
	elseif len >= 44 then
		call('SETRANGE', KEY, 28, nonce == '' and ZERO .. ZERO or nonce)
	end
	mark(marks)
	call('SETRANGE', KEY, 8, version)
end

local function expire(exp)
	if exp == 0 then
		call('PERSIST', KEY)
	elseif exp > msec() then
		call('PEXPIREAT', KEY, exp)
	else
		return call('DEL', KEY)
	end
	call('SETRANGE', KEY, 16, pack('>I8', exp))
end

-- What redis_reply.c reads: status, bits, client flags, TTL, unique, number, size, last access, text.
local function answer(status, bits, flags, ttl, cas, number, len, la, text)
	return pack('>BBI4i4c8c8I4I4', status, bits, flags, ttl, cas, number, len, la) .. text
end

local function just(status, len)
	return answer(status, 0, 0, -1, ZERO, ZERO, len or 0, 0, '')
end

-- The answer to a write that depends on what was there, kept for those that repeat it.
local function first(a, ms)
	if ANSWER then call('SET', ANSWER, a, 'PX', ms) end
	return a
end

local function idle()
	local n = redis.pcall('OBJECT', 'IDLETIME', KEY)
	return type(n) == 'number' and n or 0
end

-- T, N, R and t in the order of the line: the expiry that comes of it, the seconds shown, whether the win is taken. With
-- there false nothing is there.
local function walk(order, ttl, vttl, rttl, there, won, exp)
	local shown
	local takes = false
	while order > 0 do
		local what = order % 16
		order = floor(order / 16)
		if what == 1 then
			shown = left(exp)
		elseif what == 2 then
			exp = moment(ttl)
		elseif what == 3 then
			if not there then
				exp = moment(vttl)
				takes = true
			end
		elseif what == 4 then
			takes = takes or there and not won and exp ~= 0 and left(exp) < left(moment(rttl))
		end
	end
	return exp, shown or left(exp), takes
end

-- 64-bit numbers as halves, for incr and decr. nil: memcached would not take it for a number.
local function read_number(s)
	if #s <= 15 and string.find(s, '^%d+$') then
		local n = tonumber(s)
		return floor(n / 4294967296), n % 4294967296
	end
	local _, at, sign, digits = string.find(s, '^[ \t-\r]*([-+]?)(%d+)')
	if not at then return nil end
	local after = sub(s, at + 1, at + 1)
	if after ~= '' and after ~= '\0' and not string.find(after, '[ \t-\r]') then return nil end
	local h, l = 0, 0
	for i = 1, #digits do
		l = l * 10 + byte(digits, i) - 48
		h = h * 10 + floor(l / 4294967296)
		l = l % 4294967296
		if h > 4294967295 then return nil end
	end
	if sign == '-' then
		l = (4294967296 - l) % 4294967296
		h = (4294967296 - h - (l > 0 and 1 or 0)) % 4294967296
		if h >= 2147483648 then return nil end
	end
	return h, l
end

local function text_of(h, l)
	if h < 2097152 then return string.format('%.0f', h * 4294967296 + l) end
	local s = ''
	while h > 0 or l > 0 do
		local n = (h % 1000000) * 4294967296 + l
		h = floor(h / 1000000)
		l = floor(n / 1000000)
		s = string.format('%06.0f', n % 1000000) .. s
	end
	return (string.gsub(s, '^0+', ''))
end

-- mode 5: incr, 6: decr; d is 8 bytes.
local function reckon(mode, h, l, d)
	local dh, dl = unpack('>I4I4', d)
	if mode == 5 then
		l = l + dl
		h = (h + dh + floor(l / 4294967296)) % 4294967296
		return h, l % 4294967296
	end
	if h < dh or h == dh and l < dl then return 0, 0 end
	if l < dl then return h - dh - 1, l - dl + 4294967296 end
	return h - dh, l - dl
end

local NONNUMERIC = 'CLIENT_ERROR cannot increment or decrement non-numeric value'

--@ GET
-- mg with what changes the item or only the server knows; gat, touch; me.
local opts, want, order, ttl, vttl, rttl, newcas, version = unpack('>I2I2I2i4i4i4c8c8', ARGV[1])
local la = band(want, LA) ~= 0 and idle() or 0
local marks, old, exp, flags, len, _, _, encoded = head()
if marks == false then return just(BADVALUE) end
local there = marks and band(marks, DEAD) == 0
local won = there and band(marks, WON) ~= 0
local to, shown, takes = walk(order, ttl, vttl, rttl, there, won, there and exp or 0)
if not there then
	if band(opts, VIVIFY) == 0 then return just(MISS) end
	local v = stamp(opts, newcas, version, old)
	local binary = band(opts, BINKEY) ~= 0
	save(WON + (binary and BINARY or 0), v, to, 0, '', '')
	return answer(OK, R_WON + (binary and R_BINKEY or 0), 0, shown, v, ZERO, 0, 0, '')
end
local text = band(want, VALUE) ~= 0 and value(len) or ''
local n = text ~= '' and #text or size(len)
local rest = encoded and call('GETRANGE', KEY, 0, len - 1)
local bits = (band(marks, FETCHED) ~= 0 and R_FETCHED or 0) + (band(marks, BINARY) ~= 0 and R_BINKEY or 0)
local now = marks
if band(opts, CLASSIC) == 0 then
	if won then bits = bits + R_SENT end
	if band(marks, STALE) ~= 0 then
		bits = bits + R_STALE
		takes = takes or not won
	end
	if takes then
		bits = bits + R_WON
		if not won then now = now + WON end
	end
end
if band(want, HIT) ~= 0 and band(opts, NO_BUMP) == 0 and band(now, FETCHED) == 0 then now = now + FETCHED end
if to ~= exp then expire(to) end
if now ~= marks and (to == 0 or to > msec()) then mark(now) end
if encoded then return answer(OK, bits + R_ENCODED, flags, shown, old, ZERO, n, la, rest .. text) end
return answer(OK, bits, flags, shown, old, ZERO, n, la, text)

--@ STORE
-- set, add, replace, append, prepend, cas, ms. ARGV[2]: the value.
local mode, opts, ttl, vttl, mine, cas, newcas, version, max, codec, keep =
	unpack('>BI2i4i4I4c8c8c8I4BI4', ARGV[1])
local text, tail = ARGV[2], sub(ARGV[1], 49)
if mode == 0 and band(opts, CAS + NEWCAS) == 0 and ttl <= 2592000 and ttl >= 0 and version ~= ZERO then
	-- A plain set, unless what is there is not older.
	local ah, al = unpack('>I4I4', version)
	local item, bh, bl = call('GETRANGE', KEY, 4, 15), 0, 0
	if #item == 12 then bh, bl = unpack('>I4I4', item, 5) end
	if ah > bh or ah == bh and al > bl then
		local binary = band(opts, BINKEY) / BINKEY
		local len = 28 + #tail
		if ttl == 0 then
			call('SET', KEY, pack('>c4BBI2c8I8I4', MAGIC, binary * BINARY, codec, len, version, 0, mine) .. tail .. text)
		else
			local t = call('TIME')
			local exp = t[1] * 1000 + floor(t[2] / 1000) + ttl * 1000
			call('SET', KEY, pack('>c4BBI2c8I8I4', MAGIC, binary * BINARY, codec, len, version, exp, mine) .. tail .. text,
				'PXAT', exp)
		end
		return pack('>BBI4i4c8c8I4I4', OK, binary * R_BINKEY, 0, -1, version, ZERO, #text, 0)
	end
end
--@@
if ANSWER then
	local a = call('GET', ANSWER)
	if a then return a end
end
local marks, old, exp, flags, len, oldnonce, _, encoded = head()
local joins = mode == 3 or mode == 4
if marks == false then
	-- A plain set does not ask what was there.
	if mode ~= 0 or band(opts, CAS) ~= 0 then return just(BADVALUE) end
	marks = nil
end
local there = marks and band(marks, DEAD) == 0
local binary = band(opts, BINKEY) ~= 0 and BINARY or 0
local nonce = sub(tail, 1, 16)
local placed = band(opts, LWW + TOKEN) ~= 0 and mode == 0 and band(opts, CAS) == 0

-- It was sent twice, and this one comes late: something newer is there, or it is. What makes something new stays behind a
-- delete that is newer.
if band(opts, LWW + TOKEN) ~= 0 and marks and not after(version, nonce, old, oldnonce) and
	(placed or not there and (mode == 1 or joins and band(opts, VIVIFY) ~= 0)) then
	return first(answer(OK, 0, 0, -1, there and old or version, ZERO, #text, 0, ''), keep)
end
if not there then
	if joins and band(opts, VIVIFY) == 0 then return just(NOT_STORED, #text) end
	if mode == 0 or mode == 2 then
		if band(opts, CAS) ~= 0 then return just(MISS, #text) end
		if mode == 2 then return just(NOT_STORED, #text) end
	end
	local v = stamp(opts, newcas, version, old, placed)
	save(binary, v, moment(joins and vttl or ttl), mine, text, tail, codec)
	return first(answer(OK, binary ~= 0 and R_BINKEY or 0, 0, -1, v, ZERO, #text, 0, ''), keep)
end

if mode == 1 then return just(NOT_STORED, #text) end
local same, older = false, false
local compares = band(opts, CAS) ~= 0 and cas ~= ZERO
if compares then
	same = cas == old
	older = not same and band(opts, INVALIDATE) ~= 0 and newer(old, cas)
end
if joins then
	if compares and not same then return just(EXISTS, #text) end
	if encoded then return just(ENCODED) end
	local n = size(len) + #text
	if max > 0 and n > max then return just(NOT_STORED, #text) end
	local v = stamp(opts, newcas, version, old, placed)
	binary = binary ~= 0 and BINARY or band(marks, BINARY)
	if mode == 3 then
		call('APPEND', KEY, text)
		revise(binary, len, v, nonce)
	else
		save(binary, v, exp, flags, text .. value(len), nonce)
	end
	return first(answer(OK, binary ~= 0 and R_BINKEY or 0, 0, -1, v, ZERO, n, 0, ''), keep)
end
if band(opts, CAS) ~= 0 and not same and not older then return just(EXISTS, #text) end
-- The same write once more, because somebody was not sure of the first. Another's may have the same version by chance.
if mode == 0 and band(opts, CAS + NEWCAS) == 0 and version == old and flags == mine and oldnonce == nonce and
	value(len) == text then
	return answer(OK, 0, 0, -1, old, ZERO, size(len), 0, '')
end
local v = stamp(opts, newcas, version, old, placed)
if older then
	-- Older than what is there: kept, but marked, until somebody brings the new one.
	save(STALE + band(marks, WON) + binary, v, exp, mine, text, tail, codec)
else
	save(binary, v, moment(ttl), mine, text, tail, codec)
end
return first(answer(OK, binary ~= 0 and R_BINKEY or 0, 0, -1, v, ZERO, #text, 0, ''), keep)

--@ DELETE
-- delete, md.
local opts, ttl, mine, cas, newcas, version, dead, keep = unpack('>I2i4I4c8c8c8I4I4', ARGV[1])
if ANSWER then
	local a = call('GET', ANSWER)
	if a then return a end
end
local nonce = sub(ARGV[1], 43)
local marks, old, exp, flags, len, oldnonce, codec = head()
if marks == false then
	if band(opts, CAS + INVALIDATE + REMOVE_VAL) ~= 0 then return just(BADVALUE) end
	call('DEL', KEY)
	return just(OK)
end
local placed = band(opts, LWW + TOKEN) ~= 0 and band(opts, CAS) == 0
if placed and marks and not after(version, nonce, old, oldnonce) then return just(OK) end
if not marks or band(marks, DEAD) ~= 0 then
	-- What was written before this one and comes later finds it.
	if placed and band(opts, TOKEN) ~= 0 and dead > 0 then save(DEAD, version, msec() + dead, 0, '', nonce) end
	return just(MISS)
end
if band(opts, CAS) ~= 0 and cas ~= old then return just(EXISTS) end
local v = old
if band(opts, INVALIDATE + NEWCAS + TOKEN) ~= 0 then
	v = stamp(opts, newcas, version, old, placed)
else
	nonce = oldnonce
end
local to = band(opts, TTL) ~= 0 and moment(ttl) or band(opts, REMOVE_VAL) ~= 0 and 0 or exp
if band(opts, REMOVE_VAL) ~= 0 then
	save(band(marks, BINARY) + (band(opts, INVALIDATE) ~= 0 and STALE or 0), v, to, mine, '', nonce)
	return first(answer(OK, band(marks, BINARY) ~= 0 and R_BINKEY or 0, mine, left(to), v, ZERO, 0, 0, ''), keep)
end
if band(opts, INVALIDATE) ~= 0 then
	local n = size(len)
	revise(band(marks, BINARY + FETCHED) + STALE, len, v, nonce)
	if to ~= exp then expire(to) end
	return first(answer(OK, band(marks, BINARY) ~= 0 and R_BINKEY or 0, flags, left(to), v, ZERO, n, 0, ''), keep)
end
if dead > 0 then
	save(DEAD, stamp(0, ZERO, version, old, placed), msec() + dead, 0, '', sub(ARGV[1], 43))
else
	call('DEL', KEY)
end
return first(just(OK), keep)

--@ ARITH
-- incr, decr, ma.
local mode, opts, order, ttl, vttl, cas, newcas, version, delta, initial, keep =
	unpack('>BI2I2i4i4c8c8c8c8c8I4', ARGV[1])
local nonce = sub(ARGV[1], 58)
if ANSWER then
	local a = call('GET', ANSWER)
	if a then return a end
end
local item = call('GET', KEY)
local marks, old, exp, flags, len, oldnonce, _, encoded
if item then marks, old, exp, flags, len, oldnonce, _, encoded = parts(item) end
if marks == false then return just(BADVALUE) end
local there = marks and band(marks, DEAD) == 0
if not there then
	if band(opts, VIVIFY) == 0 then return just(MISS) end
	local to, shown = walk(order, ttl, vttl, 0, false, false, 0)
	local binary = band(opts, BINKEY) ~= 0
	local v = version
	-- What makes something new stays behind a delete that is newer.
	if band(opts, TOKEN) == 0 or not marks or after(version, nonce, old, oldnonce) then
		v = stamp(opts, newcas, version, old)
		save(binary and BINARY or 0, v, to, 0, text_of(unpack('>I4I4', initial)), nonce)
	end
	return first(answer(OK, binary and R_BINKEY or 0, 0, shown, v, initial, 0, 0, ''), keep)
end
if encoded then return just(ENCODED) end
local text = sub(item, len + 1)
if text == '' then return answer(ERROR, 0, 0, -1, ZERO, ZERO, 0, 0, NONNUMERIC) end
if band(opts, CAS) ~= 0 and cas ~= ZERO and cas ~= old then return just(EXISTS) end
local h, l = read_number(text)
if not h then return answer(ERROR, 0, 0, -1, ZERO, ZERO, 0, 0, NONNUMERIC) end
h, l = reckon(mode, h, l, delta)
-- As wide as it ever was: spaces behind a shorter number.
local digits = text_of(h, l)
local v = stamp(opts, newcas, version, old)
local to, shown = exp, -1
if order ~= 0 then to, shown = walk(order, ttl, vttl, 0, true, false, exp) end
save(marks, v, to, flags, digits .. string.rep(' ', #text - #digits), nonce)
return first(answer(OK, band(marks, BINARY) ~= 0 and R_BINKEY or 0, flags, shown, v, pack('>I4I4', h, l),
	math.max(#text, #digits), 0, ''), keep)

--@ RAW_GET
-- get with the time that is left, gat, touch, mg T and t, me: on plain strings.
local opts, want, order, ttl = unpack('>I2I2I2i4', ARGV[1])
local ms = call('PTTL', KEY)
if ms == -2 then return just(MISS) end
local exp = ms < 0 and 0 or msec() + ms
local la = band(want, LA) ~= 0 and idle() or 0
local text = band(want, VALUE) ~= 0 and call('GET', KEY) or ''
local n = text ~= '' and #text or call('STRLEN', KEY)
local to, shown = walk(order, ttl, 0, 0, true, false, exp)
if to ~= exp then
	if to == 0 then
		call('PERSIST', KEY)
	else
		call('PEXPIREAT', KEY, to)
	end
end
return answer(OK, 0, 0, shown, ZERO, ZERO, n, la, text)

--@ RAW_STORE
-- append, prepend; what is over when it is written.
local mode, opts, ttl, vttl, max = unpack('>BI2i4i4I4', ARGV[1])
local text = ARGV[2]
local there = call('EXISTS', KEY) == 1
local exp = 0
if mode == 3 or mode == 4 then
	if there then
		local n = call('STRLEN', KEY) + #text
		if max > 0 and n > max then return just(NOT_STORED, #text) end
		if mode == 3 then
			call('APPEND', KEY, text)
		else
			call('SET', KEY, text .. call('GET', KEY), 'KEEPTTL')
		end
		return just(OK, n)
	end
	if band(opts, VIVIFY) == 0 then return just(NOT_STORED, #text) end
	exp = moment(vttl)
else
	if mode == 1 and there or mode == 2 and not there then return just(NOT_STORED, #text) end
	exp = moment(ttl)
end
if exp == 0 then
	call('SET', KEY, text)
elseif exp > msec() then
	call('SET', KEY, text, 'PXAT', exp)
else
	call('DEL', KEY)
end
return just(OK, #text)

--@ RAW_ARITH
-- incr, decr, ma on plain strings: without the spaces, which other clients would not take for a number.
local mode, opts, order, ttl, vttl, delta, initial = unpack('>BI2I2i4i4c8c8', ARGV[1])
local text = call('GET', KEY)
local ms = text and call('PTTL', KEY) or -1
local exp = ms < 0 and 0 or msec() + ms
local to, shown = walk(order, ttl, vttl, 0, text and true, false, exp)
local number = initial
if text then
	local h, l = read_number(text)
	if not h then return answer(ERROR, 0, 0, -1, ZERO, ZERO, 0, 0, NONNUMERIC) end
	number = pack('>I4I4', reckon(mode, h, l, delta))
elseif band(opts, VIVIFY) == 0 then
	return just(MISS)
end
text = text_of(unpack('>I4I4', number))
if to == 0 then
	call('SET', KEY, text)
elseif to == exp then
	call('SET', KEY, text, 'KEEPTTL')
elseif to > msec() then
	call('SET', KEY, text, 'PXAT', to)
else
	call('DEL', KEY)
end
return answer(OK, 0, 0, shown, ZERO, number, #text, 0, '')
