-- lead.lua tells Redis which epoch may write to a partition from now on.
--
-- KEYS[1]  the partition's hash     ARGV[1]  the owner's epoch     ARGV[2]  the generation, both issued by Postgres
--
-- Returns what it finds: {generation, applied, applied_seq, seq}, all "" when Redis holds no data of the partition; the error FENCED
-- when a later epoch has been there.
local part, epoch, generation = KEYS[1], ARGV[1], ARGV[2]

local p = redis.call('HMGET', part, 'epoch', 'generation', 'applied', 'applied_seq', 'seq')
if p[1] and tonumber(p[1]) > tonumber(epoch) then return redis.error_reply('FENCED epoch is ' .. p[1]) end
redis.call('HSET', part, 'epoch', epoch)
if p[2] and tonumber(p[2]) < tonumber(generation) then
  -- A data set from before a rebuild came back: what it admits from now on belongs to the generation of today.
  redis.call('HSET', part, 'generation', generation)
end
return {p[2] or '', p[3] or '', p[4] or '', p[5] or ''}
