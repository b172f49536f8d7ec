-- drop.lua gives a lease back, if it is still his.
--
-- KEYS[1]  the lease     ARGV[1]  who
--
-- Returns 1 when it was his, else 0.
local lease, who = KEYS[1], ARGV[1]

if redis.call('GET', lease) ~= who then return 0 end
return redis.call('DEL', lease)
