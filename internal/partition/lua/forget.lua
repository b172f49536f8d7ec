-- forget.lua forgets a sale, so that it is loaded from Postgres when it is needed, and only as it stands there from now on.
--
-- KEYS[1]  the partition's hash: forgotten     KEYS[2]  the sale     KEYS[3]  its buyers
--
-- Returns "forgotten", also when it was not there.
local part, sale, buyers = KEYS[1], KEYS[2], KEYS[3]

redis.call('UNLINK', sale, buyers)
redis.call('HINCRBY', part, 'forgotten', 1)
return 'forgotten'
