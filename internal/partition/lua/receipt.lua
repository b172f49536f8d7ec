-- receipt.lua reads where receipts stand. Those that are asked for at the same time are read in one call.
--
-- KEYS[1]  the partition's hash: generation, seq, applied, applied_seq, applied_at, since, drain, run, mark
-- KEYS[2] KEYS[3]  the rejected receipts     KEYS[4…]  the receipts
-- ARGV     their IDs, 16 bytes each, then the short ones
--
-- Returns the line "applied_seq drain applied still", still being the ms that nothing has been settled although something is
-- queued, and for each receipt its record, or "" when it is not here; {"loading"} when that cannot be said: the partition has
-- no data, or data that may be older than what somebody was told.
local part, n = KEYS[1], #ARGV / 2

local p = redis.call('HMGET', part, 'applied_seq', 'drain', 'applied', 'run', 'mark', 'generation', 'applied_at', 'since', 'seq')
if not p[6] or not same_server(p[4], p[5]) then return {'loading'} end
local time = redis.call('TIME')
local still = stalled(p[9], p[1], p[7], p[8], time[1] * 1000 + math.floor(time[2] / 1000))
local answers = {(p[1] or '0') .. ' ' .. (p[2] or '0') .. ' ' .. (p[3] or '0-0') .. ' ' .. string.format('%.0f', still)}

local there, all, rejected, before = redis.call('MGET', unpack(KEYS, 4, 3 + n)), true, nil, nil
for i = 1, n do all = all and there[i] end
if not all then
  rejected, before = redis.call('HMGET', KEYS[2], unpack(ARGV)), redis.call('HMGET', KEYS[3], unpack(ARGV))
end
for i = 1, n do answers[i + 1] = there[i] or rejected[n + i] or before[n + i] or rejected[i] or before[i] or '' end
return answers
