-- view.lua reads how the sales of a batch stand at the watermark that the batch starts from. It changes nothing.
--
-- KEYS[1]  the partition's hash: epoch, applied     KEYS[2…]  for each sale: its hash, its buyers
-- ARGV[1]  epoch of the owner     ARGV[2]  prev, the watermark     ARGV[3…]  for each sale: how many buyers, the buyers
--
-- Returns {"view", {fields…}, {units…}, …}, an empty list of fields for a sale that is not there; {"behind"} when Redis
-- is before prev, {"ahead"} when it is past it; the error FENCED when the epoch is not the owner's.
local part, epoch, prev = KEYS[1], ARGV[1], ARGV[2]

local p = redis.call('HMGET', part, 'epoch', 'applied')
if p[1] ~= epoch then return redis.error_reply('FENCED epoch is ' .. tostring(p[1])) end
if p[2] ~= prev then
  local function split(entry) local at, no = string.match(entry or '0-0', '^(%d+)-(%d+)$') return tonumber(at), tonumber(no) end
  local at, no = split(p[2])
  local prev_at, prev_no = split(prev)
  if at < prev_at or at == prev_at and no < prev_no then return {'behind'} end
  return {'ahead'}
end

local answer, arg = {'view'}, 3
for key = 2, #KEYS, 2 do
  local buyers = tonumber(ARGV[arg])
  answer[#answer + 1] = redis.call('HGETALL', KEYS[key])
  if buyers > 0 then
    answer[#answer + 1] = redis.call('HMGET', KEYS[key + 1], unpack(ARGV, arg + 1, arg + buyers))
  else
    answer[#answer + 1] = {}
  end
  arg = arg + 1 + buyers
end
return answer
