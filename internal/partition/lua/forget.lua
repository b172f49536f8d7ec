-- forget.lua forgets a sale, so that it is loaded from Postgres when it is needed, and only as it stands there from now on.
--
-- KEYS[1]  the sale     KEYS[2]  its buyers     KEYS[3]  its holds     KEYS[4]  its line     KEYS[5]  how often it was forgotten
-- ARGV[1]  ms that this is remembered: longer than any load takes
--
-- Returns "forgotten", also when it was not there.
local sale, buyers, holds, line, forgotten, remember = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]

redis.call('UNLINK', sale, buyers, holds, line)
redis.call('INCR', forgotten)
redis.call('PEXPIRE', forgotten, remember)
return 'forgotten'
