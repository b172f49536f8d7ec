-- place.lua reads which place in the waiting line of a sale a receipt has.
--
-- KEYS[1]  the sale: line_left, line_since     KEYS[2]  its line
-- ARGV[1]  the place: number of the receipt, 8 bytes, and its ID, 16
--
-- Returns {it, from 1, how many have left the line so far, in how many ms}; 0 when it is not in
-- the line; "unknown_sale" when the sale is not here.
local sale, line, place = KEYS[1], KEYS[2], ARGV[1]

local before = redis.call('ZRANK', line, place)
if before then
  local time, s = redis.call('TIME'), redis.call('HMGET', sale, 'line_left', 'line_since')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  return {before + 1, tonumber(s[1] or 0), math.max(0, now - tonumber(s[2] or now))}
end
if redis.call('EXISTS', sale) == 0 then return 'unknown_sale' end
return 0
