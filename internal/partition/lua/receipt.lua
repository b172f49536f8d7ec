-- receipt.lua reads where a receipt stands.
--
-- KEYS[1]  the partition's hash: applied_seq, drain     KEYS[2]  the receipt     KEYS[3] KEYS[4]  the rejected receipts
-- ARGV[1]  receipt ID, 16 bytes
--
-- Returns {record, applied_seq, drain}, or {"", 0, 0} when it is not here.
local part, receipt, id = KEYS[1], KEYS[2], ARGV[1]

local record = redis.call('GET', receipt) or redis.call('HGET', KEYS[3], id) or redis.call('HGET', KEYS[4], id)
if not record then return {'', 0, 0} end
local p = redis.call('HMGET', part, 'applied_seq', 'drain')
return {record, tonumber(p[1] or 0), tonumber(p[2] or 0)}
