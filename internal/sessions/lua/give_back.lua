-- give_back.lua takes an attempt back.
--
-- KEYS[1]  attempts
--
-- Returns how many are left.
local attempts = KEYS[1]

if tonumber(redis.call('GET', attempts) or 0) <= 0 then return 0 end
return redis.call('DECR', attempts)
