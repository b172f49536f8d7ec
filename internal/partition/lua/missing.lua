-- missing.lua tells what it means that a receipt is not here.
--
-- KEYS[1]  the partition's hash: generation, run, mark, lost
--
-- Returns {"loading"} when that cannot be said yet: Redis has no data of the partition, or has started again and no owner
-- has looked at it since. Else {"since", ms}: what was admitted before that stream time may have been lost; 0 when nothing
-- ever was.
local p = redis.call('HMGET', KEYS[1], 'generation', 'run', 'mark', 'lost')
if not p[1] or not same_server(p[2], p[3]) then return {'loading'} end
return {'since', tonumber(p[4] or 0)}
