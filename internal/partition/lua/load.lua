-- load.lua puts a sale, as it stands in Postgres at one watermark, into the projection at the same watermark.
--
-- KEYS[1]  the partition's hash: generation, applied     KEYS[2]  the sale     KEYS[3]  its buyers
-- KEYS[4]  how often it was forgotten
-- ARGV[1]  applied, the watermark     ARGV[2]  how often it had been forgotten before Postgres was read
-- ARGV[3]  ms of expiry     ARGV[4]  ms that it is kept at least, from now on
-- ARGV[5]  number of fields of the sale     ARGV[6…] field, value …     then     buyer, units …
--
-- Returns "loaded"; "there" when the sale is known (nothing changes); "loading" when the partition has no data; "stale"
-- when Redis stands at another watermark, or it was forgotten in between (nothing changes: read Postgres again).
local part, sale, buyers, forgotten, applied, before, fields = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2], tonumber(ARGV[5])

local p = redis.call('HMGET', part, 'generation', 'applied')
if not p[1] then return 'loading' end
if redis.call('EXISTS', sale) == 1 then return 'there' end
if p[2] ~= applied or (redis.call('GET', forgotten) or '0') ~= before then return 'stale' end

-- Whoever loads it needs it now, however long its time is over.
local time = redis.call('TIME')
local expiry = string.format('%.0f', math.max(tonumber(ARGV[3]), time[1] * 1000 + tonumber(ARGV[4])))
redis.call('DEL', buyers)
redis.call('HSET', sale, unpack(ARGV, 6, 5 + 2 * fields))
redis.call('PEXPIREAT', sale, expiry)
local first = 6 + 2 * fields
for from = first, #ARGV, 2000 do
  redis.call('HSET', buyers, unpack(ARGV, from, math.min(from + 1999, #ARGV)))
end
if first <= #ARGV then redis.call('PEXPIREAT', buyers, expiry) end
return 'loaded'
