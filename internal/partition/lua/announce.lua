-- announce.lua says that a consumer lives, or takes its leave, and asks who else lives.
--
-- KEYS[1]  the living, by the time they were last heard of
-- ARGV[1]  who     ARGV[2]  ms after which somebody unheard of is dead     ARGV[3]  "here", or "gone" to take leave
-- ARGV[4]  channel     ARGV[5]  word to say there when somebody came, went, or was found dead
--
-- Returns the ms after which the one unheard of for longest will be dead, then the names of the living.
local living, who, dead_after, here, channel, word = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'here', ARGV[4], ARGV[5]

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('ZRANGE', living, 0, -1, 'WITHSCORES')
local names, oldest, changed, new = {}, now, false, here
for i = 1, #known, 2 do
  local name, heard = known[i], tonumber(known[i + 1])
  -- When the clock steps back, whoever died before it did must not live until it is there again.
  local dead = heard <= now - dead_after or heard >= now + dead_after
  if name == who then new = here and dead end
  if dead and not (name == who and here) or name == who and not here then
    redis.call('ZREM', living, name)
    changed = true
  elseif name ~= who then
    names[#names + 1], oldest = name, math.min(oldest, heard)
  end
end
if here then
  redis.call('ZADD', living, now, who)
  names[#names + 1] = who
end
if changed or new then redis.call('PUBLISH', channel, word) end
return {oldest + dead_after - now, unpack(names)}
