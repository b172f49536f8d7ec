-- trust.lua lets everybody be told again what this server holds: its owner has brought it to where Postgres stands.
--
-- KEYS[1]  the partition's hash: epoch, applied, run, mark     ARGV[1]  epoch of the owner     ARGV[2]  applied, in Postgres
--
-- Returns "trusted"; "stale" when Redis stands at another watermark (nothing changes); the error FENCED when the epoch is
-- not the owner's.
local part, epoch, applied = KEYS[1], ARGV[1], ARGV[2]

local p = redis.call('HMGET', part, 'epoch', 'applied')
if p[1] ~= epoch then return redis.error_reply('FENCED epoch is ' .. tostring(p[1])) end
if p[2] ~= applied then return 'stale' end
local run = server_run()
if run then redis.call('HSET', part, 'run', run, 'mark', server_mark()) end
return 'trusted'
