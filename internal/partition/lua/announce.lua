-- announce.lua says that a consumer lives and asks who else does.
--
-- KEYS[1]  the living, by the time they were last heard of
-- ARGV[1]  who     ARGV[2]  ms after which somebody unheard of is dead     ARGV[3]  "here", or "gone" to take leave
--
-- Returns the names of the living.
local living, who, dead_after, word = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if word == 'gone' then
  redis.call('ZREM', living, who)
else
  redis.call('ZADD', living, now, who)
end
redis.call('ZREMRANGEBYSCORE', living, '-inf', now - dead_after)
return redis.call('ZRANGE', living, 0, -1)
