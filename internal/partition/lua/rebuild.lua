-- rebuild.lua starts a partition afresh, behind everything that is settled. Admission opens with it.
--
-- KEYS[1]  the partition's hash     KEYS[2]  its stream
-- ARGV[1]  epoch of the owner     ARGV[2]  the new generation     ARGV[3]  applied, the watermark in Postgres
-- ARGV[4]  its number     ARGV[5]  wire form of the mark that opens the generation in the stream
--
-- Unless it is the first generation, it notes when this was: what had been admitted before may be lost (lost), and what
-- had been settled before has to be asked of Postgres (rebuilt).
--
-- Returns "rebuilt"; "there" when the partition has data (nothing changes); the error FENCED when the epoch is not the
-- owner's.
local part, stream, epoch, generation, applied, applied_seq, mark = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local p = redis.call('HMGET', part, 'epoch', 'generation')
if p[1] ~= epoch then return redis.error_reply('FENCED epoch is ' .. tostring(p[1])) end
if p[2] then return 'there' end

-- The mark's ID is past the watermark and past whatever the stream still holds: stream time never goes back.
local time = redis.call('TIME')
local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000), tonumber(string.match(applied, '^%d+')) + 1)
local top = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
if top then now = math.max(now, tonumber(string.match(top[1], '^%d+')) + 1) end
now = string.format('%.0f', now)
local seq = string.format('%.0f', tonumber(applied_seq) + 1)
redis.call('XADD', stream, now .. '-0', 'q', seq, 'g', generation, 'e', mark)
redis.call('HSET', part, 'generation', generation, 'applied', applied, 'applied_seq', applied_seq, 'seq', seq, 'clock', now,
  'applied_at', now, 'since', now)
if generation ~= '1' then redis.call('HSET', part, 'lost', now, 'rebuilt', now) end
return 'rebuilt'
