-- hold.lua takes a lease that is free, or renews one that is held.
--
-- KEYS[1]  the lease     ARGV[1]  who     ARGV[2]  ms that it lasts
--
-- Returns 1 when it is his now, 0 when it is somebody else's.
local lease, who, ms = KEYS[1], ARGV[1], ARGV[2]

local holder = redis.call('GET', lease)
if holder and holder ~= who then return 0 end
redis.call('SET', lease, who, 'PX', ms)
return 1
