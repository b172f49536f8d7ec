-- lead.lua tells Redis which epoch may write to a partition from now on.
--
-- KEYS[1]  the partition's hash     ARGV[1]  the owner's epoch     ARGV[2]  the generation, both issued by Postgres
--
-- It notes when Redis may have lost what was queued: a server that has started again, or another one, may lack what it had
-- not written down or not received; a data set from before a rebuild lacks what came after.
--
-- Returns what it finds: {generation, applied, applied_seq, seq, drain, "strange" when it is another server than the one that
-- was trusted, or has started again, else ""}, all "" when Redis holds no data of the partition; the
-- error FENCED when a later epoch has been there.
local part, epoch, generation = KEYS[1], ARGV[1], ARGV[2]

local p = redis.call('HMGET', part, 'epoch', 'generation', 'applied', 'applied_seq', 'seq', 'run', 'clock', 'drain')
if p[1] and tonumber(p[1]) > tonumber(epoch) then return redis.error_reply('FENCED epoch is ' .. p[1]) end
redis.call('HSET', part, 'epoch', epoch)
local run = server_run()
local older = p[2] and tonumber(p[2]) < tonumber(generation)
if older then
  -- What it admits from now on belongs to the generation of today.
  redis.call('HSET', part, 'generation', generation)
end
local strange = run and p[6] and run ~= p[6]
if older or strange then
  local time = redis.call('TIME')
  local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000), tonumber(p[7] or 0))
  redis.call('HSET', part, 'lost', string.format('%.0f', now))
end
return {p[2] or '', p[3] or '', p[4] or '', p[5] or '', p[8] or '', strange and 'strange' or ''}
