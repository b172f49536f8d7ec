-- projection.lua reads a whole partition at one watermark, for the audit.
--
-- KEYS[1]  the partition's hash: applied, seq, applied_seq     KEYS[2…]  for each sale: its hash, its buyers
--
-- Returns {applied, seq, applied_seq, {fields…}, {buyer, units, …}, …}, all three "" when Redis has no data of it.
local p = redis.call('HMGET', KEYS[1], 'applied', 'seq', 'applied_seq')
local answer = {p[1] or '', p[2] or '', p[3] or ''}
for key = 2, #KEYS do
  answer[key + 2] = redis.call('HGETALL', KEYS[key])
end
return answer
