-- snapshot.lua reads a whole partition at one watermark, for the audit.
--
-- KEYS[1]  the partition's hash     KEYS[2…]  for each sale: its hash, its buyers
--
-- Returns {applied, {fields…}, {buyer, units, …}, …}.
local answer = {redis.call('HGET', KEYS[1], 'applied') or ''}
for key = 2, #KEYS do
  answer[key] = redis.call('HGETALL', KEYS[key])
end
return answer
