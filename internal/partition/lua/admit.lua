-- admit.lua appends a request to the stream of its partition under a receipt, or says why not and leaves no trace.
--
-- KEYS[1]  the partition's hash: generation, seq, applied_seq, clock, drain     KEYS[2]  its stream
-- KEYS[3]  the receipt     KEYS[4] KEYS[5]  the rejected receipts, two hashes
-- KEYS[6]  the sale        KEYS[7]  the buyer's pace
-- ARGV[1]  receipt ID, 16 bytes     ARGV[2]  its record, from the verb on     ARGV[3]  wire form of the request
-- ARGV[4]  "selling": only while the sale sells; "any": at any time; a number of ms: a tick, not before that
-- ARGV[5]  µs between two requests of one buyer, 0 for no limit     ARGV[6]  µs he may be ahead of that
-- ARGV[7]  the most requests that may be queued in the partition
--
-- Returns {"queued", seq, ms, applied_seq, drain}; {"known", record, applied_seq, drain} for a receipt that is there;
-- or a refusal: {code} or {code, ms to wait}.
local part, stream, receipt, sale, pace = KEYS[1], KEYS[2], KEYS[3], KEYS[6], KEYS[7]
local id, record, request, gate = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local interval, ahead, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local p = redis.call('HMGET', part, 'generation', 'seq', 'applied_seq', 'clock', 'drain')
local generation, seq, applied_seq, drain = p[1], tonumber(p[2] or 0), tonumber(p[3] or 0), tonumber(p[5] or 0)

local known = redis.call('GET', receipt) or redis.call('HGET', KEYS[4], id) or redis.call('HGET', KEYS[5], id)
if known then return {'known', known, applied_seq, drain} end
if not generation then return {'loading', 1000} end

-- Stream time never goes back, whatever the wall clock does.
local time = redis.call('TIME')
local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000), tonumber(p[4] or 0))

if gate == 'selling' then
  local s = redis.call('HMGET', sale, 'opens_at', 'closes_at', 'exhausted')
  if not s[1] then return {'unknown_sale'} end
  if now < tonumber(s[1]) then return {'not_open', tonumber(s[1]) - now} end
  if now >= tonumber(s[2]) then return {'closed'} end
  if s[3] == '1' then return {'sold_out'} end
elseif gate ~= 'any' and now < tonumber(gate) then
  return {'early', tonumber(gate) - now}
end

local backlog = seq - applied_seq
if backlog >= most then
  -- Time to drain a tenth of the backlog, at the rate last seen.
  return {'overloaded', math.min(30000, math.max(1000, math.ceil(most / 10 / math.max(drain, 1) * 1000)))}
end

-- GCRA: the buyer's theoretical arrival time moves on by one interval a request and may run ahead of now by a bound.
if interval > 0 then
  local arrival = math.max(tonumber(redis.call('GET', pace) or 0), now * 1000) + interval
  local over = arrival - now * 1000 - ahead
  if over > 0 then return {'rate_limited', math.ceil(over / 1000)} end
  redis.call('SET', pace, string.format('%.0f', arrival), 'PX', math.ceil((arrival - now * 1000) / 1000))
end

seq = string.format('%.0f', seq + 1)
now = string.format('%.0f', now)
redis.call('XADD', stream, now .. '-*', 'q', seq, 'g', generation, 'e', request)
redis.call('HSET', part, 'seq', seq, 'clock', now)
redis.call('SET', receipt, 'queued ' .. seq .. ' ' .. now .. ' ' .. record)
return {'queued', seq, now, applied_seq, drain}
