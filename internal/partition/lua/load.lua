-- load.lua puts a sale, as it stands in Postgres at one watermark, into the projection at the same watermark.
--
-- KEYS[1]  the partition's hash: generation, applied
-- KEYS[2]  the sale     KEYS[3]  its buyers     KEYS[4]  its holds     KEYS[5]  its line     KEYS[6]  how often it was forgotten
-- ARGV[1]  applied, the watermark     ARGV[2]  how often it had been forgotten before Postgres was read
-- ARGV[3]  ms of expiry     ARGV[4]  ms that it is kept at least, from now on
-- ARGV[5…] four lists in the order of their keys, each with its length before it: field, value …     buyer, units …
--          ms, hold …     ms, place …
--
-- Returns "loaded"; "there" when the sale is known (nothing changes); "loading" when the partition has no data; "stale"
-- when Redis stands at another watermark, or it was forgotten in between (nothing changes: read Postgres again).
local part, sale, forgotten, applied, before = KEYS[1], KEYS[2], KEYS[6], ARGV[1], ARGV[2]

local p = redis.call('HMGET', part, 'generation', 'applied')
if not p[1] then return 'loading' end
if redis.call('EXISTS', sale) == 1 then return 'there' end
if p[2] ~= applied or (redis.call('GET', forgotten) or '0') ~= before then return 'stale' end

-- Whoever loads it needs it now, however long its time is over.
local time = redis.call('TIME')
local expiry = string.format('%.0f', math.max(tonumber(ARGV[3]), time[1] * 1000 + tonumber(ARGV[4])))
local arg = 5
for i, write in ipairs({'HSET', 'HSET', 'ZADD', 'ZADD'}) do
  local key, last = KEYS[1 + i], arg + tonumber(ARGV[arg])
  redis.call('DEL', key)
  for from = arg + 1, last, 2000 do -- unpack takes only so many
    redis.call(write, key, unpack(ARGV, from, math.min(from + 1999, last)))
  end
  redis.call('PEXPIREAT', key, expiry)
  arg = last + 1
end
return 'loaded'
