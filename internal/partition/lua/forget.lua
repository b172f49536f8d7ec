-- forget.lua forgets a sale, so that it is loaded from Postgres when it is needed, and only as it stands there from now on.
--
-- KEYS[1]  the sale     KEYS[2]  its buyers     KEYS[3]  how often it was forgotten
-- ARGV[1]  ms that this is remembered: longer than any load takes
--
-- Returns "forgotten", also when it was not there.
local sale, buyers, forgotten, remember = KEYS[1], KEYS[2], KEYS[3], ARGV[1]

redis.call('UNLINK', sale, buyers)
redis.call('INCR', forgotten)
redis.call('PEXPIRE', forgotten, remember)
return 'forgotten'
