-- restamp.lua has a session go on under a new stamp.
--
-- KEYS[1]  the session: account, stamp     ARGV[1]  the account that it must be of     ARGV[2]  stamp
--
-- Returns "stamped"; "unknown" when the account has no such session (nothing changes).
local session, account, stamp = KEYS[1], ARGV[1], ARGV[2]

if redis.call('HGET', session, 'account') ~= account then return 'unknown' end
redis.call('HSET', session, 'stamp', stamp)
return 'stamped'
