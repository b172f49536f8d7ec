-- drop.lua gives a lease back, if it is still his, and tells those who wait for one.
--
-- KEYS[1]  the lease     ARGV[1]  who     ARGV[2]  channel, "" to tell nobody     ARGV[3]  word to say there
--
-- Returns 1 when it was his, else 0.
local lease, who, channel, word = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

if redis.call('GET', lease) ~= who then return 0 end
redis.call('DEL', lease)
if channel ~= '' then redis.call('PUBLISH', channel, word) end
return 1
