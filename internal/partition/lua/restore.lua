-- restore.lua gives a partition that is being rebuilt the rejections back that the log still tells of, the latest first.
--
-- KEYS[1]  the partition's hash: epoch     KEYS[2]  the rejected receipts, the first of the two hashes
-- ARGV[1]  epoch of the owner     ARGV[2…] for each receipt: ID, short where the record is brief, and record
--
-- Returns "restored"; one that is there already is left alone. The error FENCED when the epoch is not the owner's.
local part, rejected, epoch = KEYS[1], KEYS[2], ARGV[1]

local now = redis.call('HGET', part, 'epoch')
if now ~= epoch then return redis.error_reply('FENCED epoch is ' .. tostring(now)) end
for i = 2, #ARGV, 2 do redis.call('HSETNX', rejected, ARGV[i], ARGV[i + 1]) end
return 'restored'
