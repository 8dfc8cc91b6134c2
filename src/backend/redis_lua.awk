# redis_lua.awk - redis.lua into strings of C, one a script; see the beginning of redis.lua. Strings there have single quotes,
# and the functions before the first script are apart by empty lines.
BEGIN {
	print "/* redis_lua.h - made from redis.lua by redis_lua.awk. */"
	n = 1
}

# Without what is for records alone, or with it.
function cut(text, flat) {
	if (flat)
		gsub(/[^\n]*--R\n/, "", text)
	else
		gsub(/ *--R/, "", text)
	return text
}

# What cannot be told from a script's own text: constants have no name here.
function head(body, flat,	i, j, text, wanted) {
	for (i = n; i >= 1; i--) {
		wanted[i] = name[i] == "" || body ~ ("(^|[^a-z_])" name[i] "[^a-z_]")
		if (wanted[i])
			body = body cut(chunk[i], flat)
	}
	for (j = 1; j <= n; j++)
		if (wanted[j] && name[j] != "")
			text = text cut(chunk[j], flat)
	return text
}

function constants(	i, text) {
	for (i = 1; i <= n; i++)
		if (name[i] == "")
			text = text chunk[i]
	return text
}

function script(part, flat,	lines, count, i, a, b) {
	if (part == "")
		return
	a = cut(first, flat)
	b = cut(rest, flat)
	printf("static const char redis_lua_%s[] =\n", part)
	count = split(constants() a head(a b, flat) b, lines, "\n")
	for (i = 1; i < count; i++)
		print "\t\"" lines[i] "\\n\""
	print "\t\"\";"
}

function scripts() {
	script(part, other != "")
	script(other, 0)
}

/^--@@/ {
	first = rest
	rest = ""
	next
}
/^--@ / {
	scripts()
	part = $2
	other = $3
	first = rest = ""
	next
}
/^[ \t]*(--.*)?$/ {
	if (part == "" && $0 == "" && chunk[n] != "")
		n++
	next
}
{
	if (part == "" && match($0, /^local function [a-z_]+/))
		name[n] = substr($0, 16, RLENGTH - 15)
	sub(/^[ \t]+/, "")
	gsub(/\\/, "&&")
	if (part == "")
		chunk[n] = chunk[n] $0 "\n"
	else
		rest = rest $0 "\n"
}
END {
	scripts()
}
