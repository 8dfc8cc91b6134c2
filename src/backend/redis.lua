-- redis.lua - memcached's verbs, each one call and atomic in the server.
--
-- The build cuts this file at its lines "--@ NAME": each part is the script RS_NAME (redis.h). In front of it stands what is
-- before the first such line: of the functions just those that it needs, because making a function takes as long as
-- calling Redis. A part may begin with what is done most often, up to a line "--@@": that comes before the functions. One with
-- two names is two scripts: the first, for flat namespaces, is without the lines that end in --R.
-- redis_put.c packs ARGV[1], redis_outcome.c reads what is returned; the item's head is proto/envelope.h's. What each verb
-- does is told by cache/verb*.c: the local cache and these must not differ.
--
-- Lua counts in doubles, which hold 53 bits. So versions and uniques are strings of 8 bytes, highest first; they are
-- compared by their halves, never by < on strings, which would ask the locale. Times are milliseconds since 1970 and fit.
--
-- A blind write that knows its place in time (LWW, TOKEN) changes nothing that is as new as it. One that depends on what is
-- there is done whenever it comes, but once: its first answer is kept under ANSWER, and given to those that repeat it.
--
-- In a namespace with records the keys of an item are its own, its record's INDEX (a sorted set of item keys), the record's
-- MARKS (a list of deletes: of ranges and of all of it) and a list of the records of its SLOT; see redis_name.c. An item is
-- dead when a mark that covers it is newer. What it covers is removed a little at a time (SWEEP). What has expired leaves
-- index and list by chance: who enters looks at two others.
--
-- A Redis that is full refuses a script's first write if that takes memory, and none behind it: what makes room begins
-- with a PERSIST, which is a write that takes none, so that its mark can be kept. (A DEL would not do: with its slot on the
-- way to another node, what is not there any more cannot be written.)

local spread = unpack
local call, pack, unpack, band = redis.call, struct.pack, struct.unpack, bit.band
local sub, byte, floor = string.sub, string.byte, math.floor
local KEY, INDEX, MARKS, SLOT = KEYS[1], KEYS[3] and KEYS[2], KEYS[3], KEYS[4]
local ANSWER, MEMBER = KEYS[5] or not INDEX and KEYS[2], INDEX and string.sub(KEY, #INDEX + 1)
local ZERO, MAGIC = '\0\0\0\0\0\0\0\0', '\241kv\1'
local KEY_MAX, ID_MAX = 1024, 250

-- op.opts, op.want, the marks of an item, enum op_status, OPR_* bits
local CAS, NEWCAS, TTL, VIVIFY, INVALIDATE = 1, 2, 4, 8, 32
local REMOVE_VAL, NO_BUMP, BINKEY, CLASSIC, LWW, TOKEN = 64, 128, 256, 1024, 4096, 8192
local VALUE, HIT, LA = 1, 8, 16
local STALE, WON, DEAD, BINARY, FETCHED = 1, 2, 4, 8, 16
local OK, MISS, NOT_STORED, EXISTS, ERROR, BADVALUE, ENCODED = 0, 1, 2, 3, 4, 5, 6
local R_WON, R_STALE, R_SENT, R_FETCHED, R_BINKEY, R_ENCODED, R_KEPT = 1, 2, 4, 8, 16, 64, 128

-- Milliseconds that what has expired is kept, so that nothing older comes instead.
local SPARE = 0

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

-- Of an item: marks, version, expiry, client flags, where the value begins, nonce, codec, whether the value is encoded (1) or
-- in pieces (2); false: it is none of ours.
local function parts(item)
	if #item < 28 or sub(item, 1, 4) ~= MAGIC then return false end
	local marks, codec, len, version, exp, flags = unpack('>BBI2c8I8I4', item, 5)
	if len < 28 then return false end
	local encoded = len >= 64 and sub(item, 61, 64) ~= '\0\0\0\0' and 2 or codec ~= 0 and 1
	if exp ~= 0 and exp <= msec() then marks = DEAD end
	return marks, version, exp, flags, len, len >= 44 and sub(item, 29, 44) or '', codec, encoded
end

-- Whether a comes before b, byte by byte.
local function below(a, b)
	local n = math.min(#a, #b)
	for i = 1, n do
		local x, y = byte(a, i), byte(b, i)
		if x ~= y then return x < y end
	end
	return #a < #b
end

-- The list of a record's marks. upto false: to the end. swept: what it covers is gone, up to at it is anyway. Where these are
-- none, nobody knows what is deleted: redis_reply.c looks for this word.
local function marks_of(s)
	local list, i = {}, 1
	while s and i <= #s do
		if #s - i < 38 then error('BADMARKS', 0) end
		local flags, f, u, c, version, nonce, keep = unpack('>BI2I2I2c8c16I8', s, i)
		i = i + 39
		if i - 1 + f + u + c > #s then error('BADMARKS', 0) end
		list[#list + 1] = { from = sub(s, i, i + f - 1), upto = band(flags, 1) ~= 0 and sub(s, i + f, i + f + u - 1),
			at = sub(s, i + f + u, i + f + u + c - 1), swept = band(flags, 2) ~= 0, version = version, nonce = nonce, keep = keep }
		i = i + f + u + c
	end
	return list
end

-- The newest that covers an item.
local function covering(list, key)
	local best
	for i = 1, #list do
		local m = list[i]
		if (m.all or not below(key, m.from) and (not m.upto or below(key, m.upto))) and
			(not best or after(m.version, m.nonce, best.version, best.nonce)) then best = m end
	end
	return best
end

-- Of the marks those that meet some keys, lo to hi: few do. all: of these keys it covers each.
local function meeting(list, lo, hi)
	local some = {}
	for i = 1, #list do
		local m = list[i]
		if not below(hi, m.from) and (not m.upto or below(lo, m.upto)) then
			m.all = not below(lo, m.from) and (not m.upto or below(hi, m.upto))
			some[#some + 1] = m
		end
	end
	return some
end

-- What parts() has of an item, '' being none (nil); its mark's where it is dead by one, with that last.
local function see(item, list, member)
	local marks, version, exp, flags, len, nonce, codec, encoded
	if item ~= '' then
		marks, version, exp, flags, len, nonce, codec, encoded = parts(item)
		if not marks then return false end
	end
	local m = #list > 0 and covering(list, member)
	if m and (not marks or after(m.version, m.nonce, version, nonce)) then
		return DEAD, m.version, 0, 0, 28, m.nonce, 0, false, m
	end
	return marks, version, exp, flags, len, nonce, codec, encoded
end

-- The same of the item that all is about.
local function head(item)
	if not item then item = call('GETRANGE', KEY, 0, 63) end
	if INDEX then return see(item, marks_of(call('GET', MARKS)), MEMBER) end --R
	if item == '' then return nil end
	return parts(item)
end

-- Whether a blind write changes nothing, because what is there, or was deleted, is as new. A mark of its own token lets it be.
local function falls(version, nonce, old, oldnonce, mark)
	if after(version, nonce, old, oldnonce) then return false end
	return not (mark and version == old and not after(old, oldnonce, version, nonce))
end

local function size(len)
	return call('STRLEN', KEY) - len
end

local function value(len)
	return sub(call('GET', KEY), len + 1)
end

-- Two of a set by chance: what is not there any more leaves.
local function prune(set, before, behind)
	for _, m in ipairs(call('ZRANDMEMBER', set, 2)) do
		if redis.pcall('EXISTS', before .. m .. behind) == 0 then call('ZREM', set, m) end
	end
end

-- The index lives as long as what is in it: exp, 0 being for ever. fresh: there was nothing.
local function stays(exp, fresh)
	if exp == 0 then
		if not fresh then call('PERSIST', INDEX) end
		return
	end
	local ms = fresh and 0 or call('PTTL', INDEX)
	if ms >= 0 and msec() + ms < exp then call('PEXPIREAT', INDEX, exp) end
end

-- Whether the record is new. If somebody has put something else where index and list are to be, that is found out here,
-- before anything is written.
local function begins()
	if call('ZCARD', INDEX) > 0 then return false end
	call('ZCARD', SLOT)
	return true
end

-- The record is in its slot's list.
local function enlist()
	local name = sub(INDEX, 2, -3)
	if call('ZADD', SLOT, 0, name) == 1 then prune(SLOT, '{', '}#') end
end

local function enters(exp, fresh)
	if call('ZADD', INDEX, 0, MEMBER) == 1 and not fresh and exp ~= 0 then prune(INDEX, sub(INDEX, 1, -2) .. '=', '') end
	stays(exp, fresh)
	if fresh then enlist() end
end

-- Where something else is, nothing is to leave. What has gone is not asked for: it would be the next node's, if the slot is
-- on its way there.
local function leaves(member)
	local n = INDEX and redis.pcall('ZCARD', INDEX)
	if n and redis.pcall('ZREM', INDEX, member) == 1 and n == 1 then
		redis.pcall('ZREM', SLOT, sub(INDEX, 2, -3))
	end
end

-- What a head has beyond 28 bytes begins with the nonce, but for 12 bytes: size and dictionary.
local function nonce_of(tail)
	return #tail >= 16 and sub(tail, 1, 16) or ''
end

-- Writes an item; one that is over by now goes. tail: what its head has beyond 28 bytes.
local function save(marks, version, exp, flags, text, tail, codec)
	local item = pack('>c4BBI2c8I8I4', MAGIC, marks, codec or 0, 28 + #tail, version, exp, flags) .. tail .. text
	local fresh = band(marks, DEAD) == 0 and begins() --R
	if exp == 0 then
		call('SET', KEY, item)
	elseif exp > msec() then
		call('SET', KEY, item, 'PXAT', exp + (band(marks, DEAD) == 0 and SPARE or 0))
	elseif SPARE > 0 then
		exp = msec() + SPARE
		call('SET', KEY, pack('>c4BBI2c8I8I4', MAGIC, DEAD, 0, 28 + #nonce_of(tail), version, exp, 0) .. nonce_of(tail),
			'PXAT', exp)
		return leaves(MEMBER) --R
	else
		call('DEL', KEY)
		return leaves(MEMBER) --R
	end
	if band(marks, DEAD) ~= 0 then return leaves(MEMBER) end --R
	enters(exp, fresh) --R
end

-- Changes an item's head in place: marks; marks, version and nonce; expiry.
local function mark(marks)
	call('SETRANGE', KEY, 4, pack('B', marks))
end

local function revise(marks, len, version, nonce)
	if len < 44 and nonce ~= '' then
		local item = call('GET', KEY)
		local more = len == 40 and byte(item, 6) ~= 0 and sub(item, 29, 40) .. ZERO or ''
		call('SET', KEY, sub(item, 1, 6) .. pack('>I2', 44 + #more) .. sub(item, 9, 28) .. nonce .. more .. sub(item, len + 1), 'KEEPTTL')
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
		call('DEL', KEY)
		leaves(MEMBER) --R
		return
	end
	call('SETRANGE', KEY, 16, pack('>I8', exp))
	stays(exp, false) --R
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

-- What is there has to be decoded first; or what comes is in pieces under a version that would have to be above this one.
local function encoded_by(version)
	return answer(ENCODED, R_ENCODED, 0, -1, version, ZERO, 0, 0, '')
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

-- The record's marks; when all that they cover is gone they go, too, in time.
local function put_marks(list)
	local s, last = '', 0
	for i = 1, #list do
		local m = list[i]
		local flags = (m.upto and 1 or 0) + (m.swept and 2 or 0)
		s = s .. pack('>BI2I2I2c8c16I8', flags, #m.from, m.upto and #m.upto or 0, #m.at, m.version, m.nonce, m.keep) ..
			m.from .. (m.upto or '') .. m.at
		if not m.swept then
			last = nil
		elseif last and m.keep > last then
			last = m.keep
		end
	end
	if s == '' then
		call('DEL', MARKS)
	elseif not last then
		call('SET', MARKS, s)
	elseif last > msec() then
		call('SET', MARKS, s, 'PXAT', last)
	else
		call('DEL', MARKS)
	end
end

-- Whether a covers nothing that b does not cover.
local function within(a, b)
	return not below(a.from, b.from) and (not b.upto or a.upto and not below(b.upto, a.upto)) and
		not after(a.version, a.nonce, b.version, b.nonce)
end

-- Notes the pieces of a value that something has taken the place of, for whom can reach them.
local function orphan(list, key, item)
	if #item < 64 or sub(item, 1, 4) ~= MAGIC or unpack('>I2', item, 7) < 64 or sub(item, 61, 64) == '\0\0\0\0' then return end
	list[#list + 1] = pack('>I2', #key) .. sub(item, 9, 16) .. sub(item, 29, 44) .. sub(item, 53, 56) .. sub(item, 61, 64) .. key
end

-- Whether an item is the one that names the pieces of such a write; tail: what its head has beyond 28 bytes.
local function named_by(item, version, tail)
	return sub(item, 9, 16) == version and sub(item, 29, 64) == sub(tail, 1, 36)
end

-- An answer that comes without anything having been written: nothing names the pieces that came before.
local function kept(a, version, tail)
	if named_by(call('GETRANGE', KEY, 0, 63), version, tail) then return a end
	return sub(a, 1, 1) .. string.char(byte(a, 2) % R_KEPT + R_KEPT) .. sub(a, 3)
end

-- A page of items: what is asked, as redis_put_record.c has it, and what there is of it. key (and id) were looked at last.
local function page()
	local flags, big, items, bytes, most, guess, each = unpack('>BI4I4I8I4I4I4', ARGV[1])
	return { values = band(flags, 1) ~= 0, reverse = band(flags, 2) ~= 0, listed = band(flags, 4) ~= 0,
		scans = band(flags, 8) ~= 0, whole = band(flags, 1) ~= 0 and big == 0, big = big, items = items, bytes = bytes, most = most, guess = guess, each = each,
		n = 0, sum = 0, work = 0, out = {} }
end

-- Whether nothing needs to be asked about an item: its codec, and where its value begins.
local function plain(item)
	if #item < 28 or sub(item, 1, 4) ~= MAGIC or sub(item, 17, 24) ~= ZERO then return nil end
	local marks, codec, len = unpack('>BBI2', item, 5)
	return band(marks, DEAD) == 0 and len
end

-- An item, or its head alone. What is of another type is none of ours: no item begins like this.
local function peek(name, whole)
	local item = whole and redis.pcall('GET', name) or redis.pcall('GETRANGE', name, 0, 63)
	return type(item) == 'string' and item or '?'
end

-- Looks at an item, which is there already or is read here. Why the page ends: before it (1: it is full), or behind it (2: items,
-- 3: work); nil: it does not.
local function look(p, id, name, key, list, item)
	if not p.whole then item = peek(name) end
	item = item or ''
	local len, encoded = p.whole and #list == 0 and plain(item)
	p.work = p.work + 1
	if #key > KEY_MAX then
		p.dirty = p.dirty or sub(key, 1, KEY_MAX)
		return p.work >= p.most and 3 or nil
	end
	if not len then
		local marks, _, _, _, l, _, _, e = see(item, list, key)
		len, encoded = l, e
		if not marks or band(marks, DEAD) ~= 0 then
			if not p.listed and not p.dirty then p.dirty = key end
			return p.work >= p.most and 3 or nil
		end
	end
	local left = -1
	if not p.whole then
		local n = call('STRLEN', name) - len
		if p.values and (encoded and unpack('>I8', item, len == 40 and 29 or 45) or n) <= p.big then
			item = call('GET', name)
		else
			item, left = sub(item, 1, len), n
		end
	end
	local sum = p.sum + p.each + #id + #key + #item - len
	if p.n > 0 and p.bytes > 0 and sum > p.bytes then return 1 end
	local out = p.out
	local n = #out
	if p.scans then
		n = n + 1
		out[n] = id
	end
	out[n + 1], out[n + 2], out[n + 3] = key, left, item
	p.sum, p.n = sum, p.n + 1
	if p.n == p.items then return 2 end
	return p.work >= p.most and 3 or nil
end

-- How many more may go into the page.
local function fit(p, most)
	if p.n == 0 or p.bytes == 0 then return math.min(p.guess, most) end
	return math.max(1, math.min(most, floor((p.bytes - p.sum) * p.n / p.sum) + 1))
end

-- Some items at once, beginning with the ith; none where not all of them are wanted.
local function fetch(p, base, keys, i)
	local names, last = {}, math.min(#keys, i + fit(p, p.n == 0 and not p.dirty and 8 or 200) - 1)
	for k = i, last do names[#names + 1] = base .. '=' .. keys[k] end
	return names, p.whole and call('MGET', spread(names)) or {}
end

-- The items of a record between two bounds, as ZRANGEBYLEX takes them. Of what swept marks cover nothing is left.
local function tread(p, id, base, lo, hi)
	local list, count = {}, p.guess
	for _, m in ipairs(marks_of(call('GET', base .. '!'))) do
		if not m.swept then list[#list + 1] = m end
	end
	p.unswept = p.unswept or #list > 0
	while true do
		local keys = p.reverse and call('ZREVRANGEBYLEX', base .. '#', hi, lo, 'LIMIT', 0, count) or
			not p.reverse and call('ZRANGEBYLEX', base .. '#', lo, hi, 'LIMIT', 0, count)
		local i = 1
		while i <= #keys do
			local names, items = fetch(p, base, keys, i)
			local a, b = keys[i], keys[i + #names - 1]
			local some = #list > 0 and meeting(list, p.reverse and b or a, p.reverse and a or b) or list
			for k = 1, #names do
				local stop = look(p, id, names[k], keys[i], some, items[k])
				if stop == 1 then return 1 end
				if #keys[i] <= KEY_MAX then p.id, p.key = id, keys[i] end
				if stop then return stop end
				i = i + 1
			end
		end
		if #keys < count then return nil end
		if p.reverse then hi = '(' .. keys[#keys] else lo = '(' .. keys[#keys] end
		count = math.max(fit(p, 1000), 50)
	end
end

-- Whether it is the name of a record, as redis_name.c makes them.
local function is_name(s)
	local plain = string.gsub(string.gsub(s, '%%25', '.'), '%%7d', '.')
	return s == '%' or s ~= '' and #plain <= ID_MAX and not string.find(plain, '[%%}]')
end

-- The page, and behind it where it ends and why.
local function given(p, stop)
	p.out[#p.out + 1] = pack('>BBI2I2I2', stop or 0, (p.key and 1 or 0) + ((p.dirty or p.unswept) and 2 or 0),
		p.id and #p.id or 0, p.key and #p.key or 0, p.dirty and #p.dirty or 0) .. (p.id or '') .. (p.key or '') .. (p.dirty or '')
	return p.out
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

--@ GET ITEM_GET
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
	local hit = band(want, HIT) ~= 0 and band(opts, NO_BUMP) == 0
	save(WON + (binary and BINARY or 0) + (hit and FETCHED or 0), v, to, 0, '', '')
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

--@ STORE ITEM_STORE
-- set, add, replace, append, prepend, cas, ms. ARGV[2]: the value.
local mode, opts, ttl, vttl, mine, cas, newcas, version, max, codec, keep, spare =
	unpack('>BI2i4i4I4c8c8c8I4BI4I4', ARGV[1])
local text, tail = ARGV[2], sub(ARGV[1], 53)
if mode == 0 and not INDEX and band(opts, CAS + NEWCAS) == 0 and ttl <= 2592000 and ttl >= 0 and version ~= ZERO then
	-- A plain set, unless what is there is not older.
	local ah, al = unpack('>I4I4', version)
	local item, bh, bl = call('GETRANGE', KEY, 4, 63), 0, 0
	if #item >= 12 then bh, bl = unpack('>I4I4', item, 5) end
	-- What is in pieces has a long head.
	if (ah > bh or ah == bh and al > bl) and (#item < 60 or byte(item, 4) < 64) then
		local binary = band(opts, BINKEY) / BINKEY
		local len = 28 + #tail
		if ttl == 0 then
			call('SET', KEY, pack('>c4BBI2c8I8I4', MAGIC, binary * BINARY, codec, len, version, 0, mine) .. tail .. text)
		else
			local t = call('TIME')
			local exp = t[1] * 1000 + floor(t[2] / 1000) + ttl * 1000
			call('SET', KEY, pack('>c4BBI2c8I8I4', MAGIC, binary * BINARY, codec, len, version, exp, mine) .. tail .. text,
				'PXAT', exp + spare)
		end
		return pack('>BBI4i4c8c8I4I4', OK, binary * R_BINKEY, 0, -1, version, ZERO, #text, 0)
	end
end
--@@
SPARE = spare
local pieces = #tail >= 36 and sub(tail, 33, 36) ~= '\0\0\0\0'
if ANSWER then
	local a = call('GET', ANSWER)
	if a then return pieces and kept(a, version, tail) or a end
end
local marks, old, exp, flags, len, oldnonce, _, encoded, mark = head()
local joins = mode == 3 or mode == 4
if marks == false then
	-- A plain set does not ask what was there.
	if mode ~= 0 or band(opts, CAS) ~= 0 then return just(BADVALUE) end
	marks = nil
end
local there = marks and band(marks, DEAD) == 0
local binary = band(opts, BINKEY) ~= 0 and BINARY or 0
local nonce = nonce_of(tail)
local placed = band(opts, LWW + TOKEN) ~= 0 and mode == 0 and band(opts, CAS) == 0

-- It was sent twice, and this one comes late: something newer is there, or it is. What makes something new stays behind a
-- delete that is newer.
if band(opts, LWW + TOKEN) ~= 0 and marks and falls(version, nonce, old, oldnonce, mark) and
	(placed or not there and (mode == 1 or joins and band(opts, VIVIFY) ~= 0)) then
	local a = first(answer(OK, 0, 0, -1, there and old or version, ZERO, #text, 0, ''), keep)
	return pieces and kept(a, version, tail) or a
end
if not there then
	if joins and band(opts, VIVIFY) == 0 then return just(NOT_STORED, #text) end
	if mode == 0 or mode == 2 then
		if band(opts, CAS) ~= 0 then return just(MISS, #text) end
		if mode == 2 then return just(NOT_STORED, #text) end
	end
	local v = stamp(opts, newcas, version, old, placed)
	if pieces and v ~= version then return encoded_by(old) end
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
	if encoded then return encoded_by(old) end
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
	value(len) == text and (not (pieces or encoded == 2) or named_by(call('GETRANGE', KEY, 0, 63), version, tail)) then
	return answer(OK, 0, 0, -1, old, ZERO, size(len), 0, '')
end
local v = stamp(opts, newcas, version, old, placed)
if pieces and v ~= version then return encoded_by(old) end
local rest = encoded == 2 and call('GETRANGE', KEY, 0, len - 1)
if older then
	-- Older than what is there: kept, but marked, until somebody brings the new one.
	save(STALE + band(marks, WON) + binary, v, exp, mine, text, tail, codec)
else
	save(binary, v, moment(ttl), mine, text, tail, codec)
end
return first(answer(OK, (binary ~= 0 and R_BINKEY or 0) + (rest and R_ENCODED or 0), 0, -1, v, ZERO, #text, 0, rest or ''), keep)

--@ DELETE ITEM_DELETE
-- delete, md.
local opts, ttl, mine, cas, newcas, version, dead, keep = unpack('>I2i4I4c8c8c8I4I4', ARGV[1])
if ANSWER then
	local a = call('GET', ANSWER)
	if a then return a end
end
local nonce = sub(ARGV[1], 43)
local marks, old, exp, flags, len, oldnonce, _, encoded, mark = head()
if marks == false then
	if band(opts, CAS + INVALIDATE + REMOVE_VAL) ~= 0 then return just(BADVALUE) end
	call('DEL', KEY)
	leaves(MEMBER) --R
	return just(OK)
end
local placed = band(opts, LWW + TOKEN) ~= 0 and band(opts, CAS) == 0
if placed and marks and falls(version, nonce, old, oldnonce, mark) then return just(OK) end
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
local rest = encoded == 2 and call('GETRANGE', KEY, 0, len - 1)
local bits = (band(marks, BINARY) ~= 0 and R_BINKEY or 0) + (rest and R_ENCODED or 0)
if band(opts, REMOVE_VAL) ~= 0 then
	save(band(marks, BINARY) + (band(opts, INVALIDATE) ~= 0 and STALE or 0), v, to, mine, '', nonce)
	return first(answer(OK, bits, mine, left(to), v, ZERO, 0, 0, rest or ''), keep)
end
if band(opts, INVALIDATE) ~= 0 then
	-- Its pieces are named by the version and the nonce.
	if encoded == 2 then
		if v ~= old then return encoded_by(old) end
		nonce = oldnonce
	end
	local n = size(len)
	revise(band(marks, BINARY + FETCHED) + STALE, len, v, nonce)
	if to ~= exp then expire(to) end
	return first(answer(OK, band(marks, BINARY) ~= 0 and R_BINKEY or 0, flags, left(to), v, ZERO, n, 0, ''), keep)
end
if dead > 0 then
	call('PERSIST', KEY)
	save(DEAD, stamp(0, ZERO, version, old, placed), msec() + dead, 0, '', sub(ARGV[1], 43))
else
	call('DEL', KEY)
	leaves(MEMBER) --R
end
return first(answer(OK, rest and R_ENCODED or 0, 0, -1, ZERO, ZERO, 0, 0, rest or ''), keep)

--@ ARITH ITEM_ARITH
-- incr, decr, ma.
local mode, opts, order, ttl, vttl, cas, newcas, version, delta, initial, keep, spare =
	unpack('>BI2I2i4i4c8c8c8c8c8I4I4', ARGV[1])
local nonce = sub(ARGV[1], 62)
SPARE = spare
if ANSWER then
	local a = call('GET', ANSWER)
	if a then return a end
end
local item = call('GET', KEY)
local marks, old, exp, flags, len, oldnonce, _, encoded = head(item or '')
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
if encoded then return encoded_by(old) end
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

--@ READ
-- kg. Keys: KEY is in the slot and never there, so that nothing is done while it moves (a flat namespace's is the item's).
-- ARGV: bounds, or item keys.
local p = page()
local base, stop = INDEX and sub(INDEX, 1, -2)
if not p.listed then return given(p, tread(p, '', base, ARGV[2], ARGV[3])) end
local list = marks_of(base and call('GET', MARKS))
for i = 2, #ARGV do
	local name = base and base .. '=' .. ARGV[i] or KEY
	stop = look(p, '', name, ARGV[i], list, p.whole and peek(name, true))
	if stop == 1 then break end
	p.id, p.key = '', ARGV[i]
	if stop then break end
end
return given(p, stop)

--@ SCAN
-- ks in one slot. KEYS[2]: the list of its records. ARGV: behind which record's item.
local p = page()
local lo, stop = ARGV[2] and '[' .. ARGV[2] or '-'
repeat
	local names = call('ZRANGEBYLEX', KEYS[2], lo, '+', 'LIMIT', 0, 64)
	for i = 1, #names do
		local name = names[i]
		if is_name(name) then
			stop = tread(p, name, '{' .. name .. '}', name == ARGV[2] and '(' .. ARGV[3] or '-', '+')
			if stop then break end
			if p.id ~= name then p.id, p.key = name, name == ARGV[2] and ARGV[3] or '' end
		end
		p.work = p.work + 1
		if p.work >= p.most then
			stop = 3
			break
		end
		lo = '(' .. name
	end
until stop or #names < 64
return given(p, stop)

--@ PUT
-- kp. KEY is as in READ. ARGV[1] is of all; then for each item what it is, and its value. All is read before anything is
-- written, so that it is all or nothing.
local opts, version, nonce, spare = unpack('>I2c8c16I4', ARGV[1])
local placed = band(opts, LWW + TOKEN) ~= 0
local base, list = INDEX and sub(INDEX, 1, -2) .. '=', marks_of(INDEX and call('GET', MARKS))
if version == ZERO then version = pack('>I8', usec()) end
local late, v, top, pieces, orphans = {}, version, ZERO, false, {}
for i = 2, #ARGV, 2 do
	local _, _, _, _, chunked, len = unpack('>I8I4BBBI2', ARGV[i])
	local key = sub(ARGV[i], 18, 17 + len)
	local there = call('GETRANGE', base and base .. key or KEY, 0, 63)
	local marks, old, _, _, _, oldnonce, _, _, mark = see(there, list, key)
	pieces = pieces or chunked ~= 0
	if marks and placed then
		late[i] = falls(version, nonce, old, oldnonce, mark)
	elseif marks and not newer(v, old) then
		v, top = next_after(old), old
	end
	if not late[i] then
		orphan(orphans, key, there)
	elseif chunked ~= 0 then
		local tail = sub(ARGV[i], 18 + len)
		if not named_by(there, version, tail) then
			-- Its own.
			orphans[#orphans + 1] = pack('>I2', #key) .. version .. sub(tail, 1, 16) .. sub(tail, 25, 28) .. sub(tail, 33, 36) .. key
		end
	end
end
if pieces and v ~= version then return encoded_by(top) end
local fresh, last, lasting = INDEX and begins(), 0, false
local sets, adds = { 'MSET' }, { 'ZADD', INDEX }
for i = 2, #ARGV, 2 do
	if not late[i] then
		local exp, flags, marks, codec, _, len = unpack('>I8I4BBBI2', ARGV[i])
		local key, tail = sub(ARGV[i], 18, 17 + len), sub(ARGV[i], 18 + len)
		local name = base and base .. key or KEY
		local item = pack('>c4BBI2c8I8I4', MAGIC, marks, codec, 28 + #tail, v, exp, flags) .. tail .. ARGV[i + 1]
		if exp == 0 then
			sets[#sets + 1], sets[#sets + 2] = name, item
			lasting = true
		elseif exp > msec() then
			call('SET', name, item, 'PXAT', exp + spare)
			if exp > last then last = exp end
		elseif spare > 0 then
			tail, exp = nonce_of(tail), msec() + spare
			call('SET', name, pack('>c4BBI2c8I8I4', MAGIC, DEAD, 0, 28 + #tail, v, exp, 0) .. tail, 'PXAT', exp)
			leaves(key)
			key = nil
		else
			call('DEL', name)
			leaves(key)
			key = nil
		end
		if INDEX and key then adds[#adds + 1], adds[#adds + 2] = 0, key end
	end
	-- Not too many at once.
	if #sets > 1000 or #sets > 1 and i + 2 > #ARGV then
		call(spread(sets))
		sets = { 'MSET' }
	end
	if #adds > 1000 or #adds > 2 and i + 2 > #ARGV then
		call(spread(adds))
		adds = { 'ZADD', INDEX }
	end
end
if INDEX and (lasting or last > 0) then
	if last > 0 and not fresh then prune(INDEX, base, '') end
	stays(lasting and 0 or last, fresh)
	if fresh then enlist() end
end
return answer(OK, 0, 0, -1, v, ZERO, 0, 0, table.concat(orphans))

--@ ERASE
-- kd. KEY is as in READ. what: 1 item keys, 2 a range, 3 a range without end.
local opts, version, nonce, dead, what = unpack('>I2c8c16I4B', ARGV[1])
local placed, list = band(opts, LWW + TOKEN) ~= 0, marks_of(INDEX and call('GET', MARKS))
local now = msec()
if version == ZERO then version = pack('>I8', usec()) end
if what == 1 then
	local base, top, orphans = INDEX and sub(INDEX, 1, -2) .. '=', version, {}
	if nonce == ZERO .. ZERO then nonce = '' end
	for i = 2, #ARGV do
		local key, v = ARGV[i], version
		local name = base and base .. key or KEY
		local item = peek(name)
		local marks, old, _, _, _, oldnonce, _, _, mark = see(item, list, key)
		local there = marks == false or marks and band(marks, DEAD) == 0
		local goes = there
		if placed then
			goes = not marks or not falls(version, nonce, old, oldnonce, mark)
		elseif marks and there then
			v = stamp(0, ZERO, version, old)
			if newer(v, top) then top = v end
		end
		if goes and dead > 0 and (there or band(opts, TOKEN) ~= 0) then
			if there then call('PERSIST', name) end
			call('SET', name, pack('>c4BBI2c8I8I4', MAGIC, DEAD, 0, 28 + #nonce, v, now + dead, 0) .. nonce, 'PXAT', now + dead)
		elseif goes and there then
			call('DEL', name)
		end
		if goes then
			leaves(key)
			orphan(orphans, key, item)
		end
	end
	return answer(OK, 0, 0, -1, top, ZERO, 0, 0, table.concat(orphans))
end
local mark = { from = ARGV[2], upto = what == 2 and ARGV[3], at = ARGV[2], swept = call('EXISTS', INDEX) == 0,
	version = version, nonce = nonce, keep = now + dead }
local all = {}
for i = 1, #list do
	local m = list[i]
	if within(mark, m) then return answer(OK, 0, 0, -1, version, ZERO, 0, 0, '') end
	if not within(m, mark) and not (m.swept and m.keep <= now) then all[#all + 1] = m end
end
-- More than these are more than anybody deletes in the time that they are kept; what is gone can do without.
for i = #all, 1, -1 do
	if #all >= 1000 and all[i].swept then table.remove(all, i) end
end
if #all >= 1000 then return answer(ERROR, 0, 0, -1, ZERO, ZERO, 0, 0, 'SERVER_ERROR too many ranges were deleted of this record') end
all[#all + 1] = mark
if not mark.swept then call('PERSIST', MARKS) end
put_marks(all)
return answer(OK, 0, 0, -1, version, mark.swept and ZERO or pack('>I8', 1), 0, 0, '')

--@ SWEEP
-- Removes what a mark covers, or from the index what has expired, from a key on. Its number is whether there is more, or
-- was so much that there may be.
local most, list, base, m = tonumber(ARGV[1]), marks_of(call('GET', MARKS)), sub(INDEX, 1, -2) .. '='
for i = #list, 1, -1 do
	if not list[i].swept then m = list[i] end
end
local keys = call('ZRANGEBYLEX', INDEX, '[' .. (m and m.at or ARGV[2]), m and m.upto and '(' .. m.upto or '+', 'LIMIT', 0, most)
local dead, gone, orphans, last = { 'UNLINK' }, { 'ZREM', INDEX }, {}, #keys
local some = #keys > 0 and meeting(list, keys[1], keys[#keys]) or list
for i = 1, #keys do
	local item = #keys[i] <= KEY_MAX and peek(base .. keys[i]) or ''
	local marks, _, _, _, _, _, _, _, by = see(item, some, keys[i])
	-- What is none of ours has no version.
	if marks == false then by = covering(some, keys[i]) end
	if item ~= '' and by then
		dead[#dead + 1] = base .. keys[i]
		orphan(orphans, keys[i], item)
	end
	if item == '' or by or marks and band(marks, DEAD) ~= 0 then gone[#gone + 1] = keys[i] end
	if #orphans == 8 then
		last = i
		break
	end
end
if #dead > 1 then call(spread(dead)) end
if #gone > 2 then
	call(spread(gone))
	if call('EXISTS', INDEX) == 0 then redis.pcall('ZREM', SLOT, sub(INDEX, 2, -3)) end
end
local more = last < #keys
if m then
	m.at = sub(keys[last] or '', 1, KEY_MAX)
	if #keys < most and not more then m.swept, m.at = true, '' end
	put_marks(list)
	for i = 1, #list do more = more or not list[i].swept end
elseif #gone > most / 2 then
	more = true
end
return answer(OK, 0, 0, -1, ZERO, more and pack('>I8', 1) or ZERO, 0, 0, table.concat(orphans))

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
