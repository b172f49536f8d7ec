-- hold.lua takes a lease that is free, or renews one that is held.
--
-- KEYS[1]  the lease     ARGV[1]  who     ARGV[2]  ms that it lasts
--
-- Returns 1 when it was his already, 2 when it was free and is his now; else, below 0, minus the ms after which somebody
-- else's ends.
local lease, who, ms = KEYS[1], ARGV[1], ARGV[2]

local holder = redis.call('GET', lease)
if holder and holder ~= who then
  local left = redis.call('PTTL', lease)
  if left < 0 then left = tonumber(ms) end -- no end: not of our making
  return -math.max(left, 1)
end
redis.call('SET', lease, who, 'PX', ms)
return holder and 1 or 2
