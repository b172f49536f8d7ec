-- allow.lua counts an attempt, unless there were too many in this window. The first attempt begins a window.
--
-- KEYS[1]  attempts     ARGV[1]  most attempts     ARGV[2]  ms of a window
--
-- Returns 0 when it is allowed; else ms until the window ends, at least 1 (nothing changes).
local attempts, most, window = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])

local n = tonumber(redis.call('GET', attempts) or 0)
if n >= most then return math.max(redis.call('PTTL', attempts), 1) end
redis.call('INCR', attempts)
if n == 0 then redis.call('PEXPIRE', attempts, window) end
return 0
