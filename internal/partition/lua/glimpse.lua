-- glimpse.lua reads how some sales stand at one watermark, in numbers alone: what costs as much however many buyers there are.
--
-- KEYS[1]  the partition's hash: applied     KEYS[2…]  for each sale: its hash, its buyers, its holds, its line
--
-- Returns {applied, {fields…}, number of holds, length of the line, …}, applied "" when Redis has no data of the partition.
local answer = {redis.call('HGET', KEYS[1], 'applied') or ''}
for key = 2, #KEYS, 4 do
  answer[#answer + 1] = redis.call('HGETALL', KEYS[key])
  for of = 2, 3 do answer[#answer + 1] = redis.call('ZCARD', KEYS[key + of]) end
end
return answer
