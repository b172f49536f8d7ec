-- view.lua reads how the sales of a batch stand at the watermark that the batch starts from. It changes nothing.
--
-- KEYS[1]  the partition's hash: epoch, applied     KEYS[2…]  for each sale: its hash, its buyers, its holds, its line
-- ARGV[1]  epoch of the owner     ARGV[2]  prev, the watermark     ARGV[3]  ms of the batch's last entry
-- ARGV[4]  receipts that a tick moves at most     ARGV[5]  places of the line that freed units look at at most
-- ARGV[6…] for each sale: entries that are ticks; entries that are not; units that these may free; how many times more
--          of the line is shown; how many buyers, the buyers
--
-- Shows of the holds those that end by the last entry, and of the line its beginning: how much of each says Ask, in Go.
--
-- Returns {"view", {fields…}, {units…}, {hold, ms, …}, {place, ms, …}, …}, an empty list of fields for a sale that is not
-- there; {"behind"} when Redis is before prev, {"ahead"} when it is past it; the error FENCED when the epoch is not the
-- owner's; the error BROKEN when a line is not as long as its sale says.
local part, epoch, prev, last, tick_most, reach = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local p = redis.call('HMGET', part, 'epoch', 'applied')
if p[1] ~= epoch then return redis.error_reply('FENCED epoch is ' .. tostring(p[1])) end
if p[2] ~= prev then
  local function split(entry) local at, no = string.match(entry or '0-0', '^(%d+)-(%d+)$') return tonumber(at), tonumber(no) end
  local at, no = split(p[2])
  local prev_at, prev_no = split(prev)
  if at < prev_at or at == prev_at and no < prev_no then return {'behind'} end
  return {'ahead'}
end

local answer, arg = {'view'}, 6
for key = 2, #KEYS, 4 do
  local ticks, requests, frees, more = tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local buyers = tonumber(ARGV[arg + 4])
  local fields, held, waiting = redis.call('HGETALL', KEYS[key]), '0', '0'
  for i = 1, #fields, 2 do
    if fields[i] == 'held' then held = fields[i + 1] elseif fields[i] == 'waiting' then waiting = fields[i + 1] end
  end
  answer[#answer + 1] = fields
  if buyers > 0 then
    answer[#answer + 1] = redis.call('HMGET', KEYS[key + 1], unpack(ARGV, arg + 5, arg + 4 + buyers))
  else
    answer[#answer + 1] = {}
  end
  arg = arg + 5 + buyers

  local holds, line = {}, {}
  if held ~= '0' or waiting ~= '0' then -- of most sales nothing is, and nobody waits
    local s = redis.call('HMGET', KEYS[key], 'phase', 'closes_at', 'limit', 'max_bypass')
    local open, length = s[1] ~= 'closed', tonumber(waiting)
    if redis.call('ZCARD', KEYS[key + 3]) ~= length then
      return redis.error_reply('BROKEN ' .. KEYS[key + 3] .. ' is not as long as its sale says')
    end
    if open and requests > 0 then
      holds = redis.call('ZRANGEBYSCORE', KEYS[key + 2], '-inf', last, 'WITHSCORES')
    elseif ticks > 0 then
      holds = redis.call('ZRANGEBYSCORE', KEYS[key + 2], '-inf', last, 'WITHSCORES', 'LIMIT', 0, ticks * tick_most + 1)
    end
    local most, freed = 0, #holds / 2 + frees
    if open and freed > 0 then most = 1 + freed * (s[3] == '1' and 1 or 2) end
    if open and tonumber(s[4] or 0) > 0 then most = most + reach end
    if not open or tonumber(s[2]) <= tonumber(last) then most = most + ticks * tick_most end
    if more > 1 then most = math.max(most, reach) * more end
    most = math.min(most, length)
    if most > 0 then line = redis.call('ZRANGE', KEYS[key + 3], 0, most - 1, 'WITHSCORES') end
  end
  answer[#answer + 1] = holds
  answer[#answer + 1] = line
end
return answer
