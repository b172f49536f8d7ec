-- sale.lua reads how a sale stands now.
--
-- KEYS[1]  the partition's hash: clock     KEYS[2]  the sale
--
-- Returns {ms of stream time, {fields…}}, an empty list of fields when the sale is not here.
local time = redis.call('TIME')
local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000), tonumber(redis.call('HGET', KEYS[1], 'clock') or 0))
return {now, redis.call('HGETALL', KEYS[2])}
