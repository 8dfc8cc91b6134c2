# redis_lua.awk - redis.lua into strings of C: what stands before the first "--@ NAME", and each part behind one. Strings
# there have single quotes.
BEGIN {
	print "/* redis_lua.h - made from redis.lua by redis_lua.awk. */"
	print "static const char redis_lua_head[] ="
}
/^--@ / {
	printf("\t\"\";\nstatic const char redis_lua_%s[] =\n", $2)
	next
}
/^[ \t]*(--.*)?$/ {
	next
}
{
	sub(/^[ \t]+/, "")
	gsub(/\\/, "&&")
	print "\t\"" $0 "\\n\""
}
END {
	print "\t\"\";"
}
