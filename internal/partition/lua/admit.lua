-- admit.lua appends requests to the stream of their partition, each under its receipt, or says why not and leaves no trace
-- of it. Those that come at the same time come in one call, in the order in which they came: what they have in common is
-- read and written once.
--
-- KEYS[1]  the partition's hash: generation, seq, applied, applied_seq, applied_at, since, promised, clock, drain, rebuilt,
--          run, mark
-- KEYS[2]  its stream      KEYS[3] KEYS[4]  the rejected receipts, two hashes
-- KEYS[5…] the receipts of n requests, then their n sales, then the paces of their n buyers
-- ARGV     n receipt IDs, 16 bytes each, then n short ones, n records, from the verb on, n wire forms of requests, and n terms:
--
--   gate interval ahead most origin turn
--
--   gate      "selling": only while the sale sells; "any": at any time; a number of ms: a tick, not before that
--   interval  µs between two requests of one buyer, 0 for no limit     ahead  µs he may be ahead of that
--   most      requests that may be queued in the partition
--   origin    "keyed": Postgres may have the receipt, from before Redis was rebuilt; "fresh": it has not
--   turn      ms of the turn that the buyer was promised when he was refused as overloaded, 0: none
--
-- Returns {"loading"} when the partition cannot tell anything, or how it stands and n answers. The first is the line
-- "applied_seq drain applied still ms": ms of standing still, and the stream time of what is queued here. An answer is
-- "queued seq left", requests he may still send at once; "known record" for a receipt that is there; "forgotten" when
-- Postgres has to be asked; or a refusal: "code", "code wait" or "overloaded wait turn", in ms.
local part, stream = KEYS[1], KEYS[2]
local n = #ARGV / 5
local sales, paces, records, requests, terms = 4 + n, 4 + 2 * n, 2 * n, 3 * n, 4 * n

-- In ms: for how long a turn is good, the latest that is promised, the longest that a queue is expected to stand still.
local turn_lasts, turn_latest, still_most = 60000, 600000, 30000
-- Requests that are settled at once: so many places get free together, and none before. Turns are promised a little
-- slower than the queue drains: who comes too early finds it full, and what stays free fills up with who comes then.
local batch, slower = 500, 1.1

local p = redis.call('HMGET', part, 'generation', 'seq', 'applied_seq', 'clock', 'drain', 'rebuilt', 'applied', 'run', 'mark',
  'applied_at', 'since', 'promised')
local generation, seq, applied_seq, drain, promised = p[1], tonumber(p[2] or 0), tonumber(p[3] or 0), tonumber(p[5] or 0), tonumber(p[12] or 0)

local same, mark = same_server(p[8], p[9])
if not same then return {'loading'} end

-- Stream time never goes back, whatever the wall clock does.
local time = redis.call('TIME')
local clock = time[1] * 1000 + math.floor(time[2] / 1000)
local now = math.max(clock, tonumber(p[4] or 0))
local stream_time = string.format('%.0f', now)
local still = stalled(seq, applied_seq, p[10], p[11], clock)

local there, rejected, before = redis.call('MGET', unpack(KEYS, 5, 4 + n)), redis.call('HMGET', KEYS[3], unpack(ARGV, 1, 2 * n)), redis.call('HMGET', KEYS[4], unpack(ARGV, 1, 2 * n))

-- What is read once, or made here: sales and terms by name, arrivals by pace, records by receipt. What is to be written:
-- numbers and wire forms, receipts and records, paces.
local sale_of, terms_of, arrival_of, made = {}, {}, {}, {}
local numbers, forms, receipts, moved, arrivals, empty, turned = {}, {}, {}, {}, nil, seq <= applied_seq, false

local function known_sale(key)
  local s = sale_of[key]
  if not s then
    s = redis.call('HMGET', key, 'opens_at', 'closes_at', 'exhausted', 'suspended')
    s[1], s[2] = tonumber(s[1]), tonumber(s[2])
    sale_of[key] = s
  end
  return s
end

local function terms_in(words)
  local t = terms_of[words]
  if not t then
    local gate, interval, ahead, most, origin, turn = string.match(words, '^(%w+) (%d+) (%d+) (%d+) (%w+) (%d+)$')
    t = {gate = gate, interval = tonumber(interval), ahead = tonumber(ahead), most = tonumber(most), origin = origin, turn = tonumber(turn)}
    terms_of[words] = t
  end
  return t
end

local function admit(i)
  local receipt, sale = KEYS[4 + i], KEYS[sales + i]
  local known = made[receipt] or there[i] or rejected[n + i] or before[n + i] or rejected[i] or before[i]
  if known then return 'known ' .. known end
  if not generation then return 'loading 1000' end
  local t = terms_in(ARGV[terms + i])
  local gate, interval, most, turn = t.gate, t.interval, t.most, t.turn
  if p[6] and t.origin == 'keyed' then -- a sale that opened later has lost nothing
    local opens_at = known_sale(sale)[1]
    if not opens_at or opens_at < tonumber(p[6]) then return 'forgotten' end
  end

  if gate == 'selling' then
    local s = known_sale(sale)
    if not s[1] then return 'unknown_sale' end
    if now < s[1] then return 'not_open ' .. string.format('%.0f', s[1] - now) end
    if now >= s[2] then return 'closed' end
    if s[4] == '1' then return 'suspended' end
    if s[3] == '1' then return 'sold_out' end
  elseif gate ~= 'any' and now < tonumber(gate) then
    return 'early ' .. string.format('%.0f', tonumber(gate) - now)
  end

  -- A full queue has a line before its door: whoever is refused is promised a turn, one behind the other at the rate at
  -- which the queue drains. While there are turns to come, nobody else is let in to buy, unless half of the queue is free:
  -- many do not come back. Who comes at his turn and finds the queue full again keeps it.
  local backlog = seq - applied_seq
  if turn > 0 and (now < turn or now > turn + turn_lasts) then turn = 0 end
  if backlog >= most or gate == 'selling' and turn == 0 and promised > now and backlog >= most / 2 then
    local wait, each = 0, 1000 / math.max(drain, 1)
    if backlog >= most then
      local places = turn > 0 and batch or 2 * batch -- the one in hand may be a small one
      wait = math.max(math.max(most / 10, math.min(most, places)) * each, math.min(still, still_most))
    end
    if turn > 0 then return string.format('overloaded %.0f %.0f', math.max(1000, math.ceil(wait)), turn) end
    promised, turned = math.min(math.max(promised, now + wait) + each * slower, now + turn_latest), true
    local due = math.ceil(math.max(promised, now + 1000))
    return string.format('overloaded %.0f %.0f', due - now, due)
  end

  -- GCRA: the buyer's theoretical arrival time moves on by one interval a request and may run ahead of now by a bound.
  local left = '-1'
  if interval > 0 then
    local pace = KEYS[paces + i]
    arrivals = arrivals or redis.call('MGET', unpack(KEYS, paces + 1, paces + n))
    local arrival = math.max(arrival_of[pace] or tonumber(arrivals[i] or 0), now * 1000) + interval
    local room = t.ahead - (arrival - now * 1000)
    if room < 0 then return 'rate_limited ' .. string.format('%.0f', math.ceil(-room / 1000)) end
    if not arrival_of[pace] then moved[#moved + 1] = pace end
    arrival_of[pace], left = arrival, string.format('%.0f', math.floor(room / interval))
  end

  seq = seq + 1
  local number = string.format('%.0f', seq)
  local record = 'queued ' .. number .. ' ' .. stream_time .. ' ' .. ARGV[records + i]
  local k = #numbers + 1
  numbers[k], forms[k], receipts[2 * k - 1], receipts[2 * k], made[receipt] = number, ARGV[requests + i], receipt, record, record
  return 'queued ' .. number .. ' ' .. left
end

local answers = {(p[3] or '0') .. ' ' .. (p[5] or '0') .. ' ' .. (p[7] or '0-0') .. ' ' .. string.format('%.0f', still) .. ' ' .. stream_time}
for i = 1, n do answers[i + 1] = admit(i) end

-- All is decided; from here on it is written, the stream first, which refuses an ID that would go back.
if turned then redis.call('HSET', part, 'promised', string.format('%.3f', promised)) end
if #numbers > 0 then
  for k = 1, #numbers do redis.call('XADD', stream, stream_time .. '-*', 'q', numbers[k], 'g', generation, 'e', forms[k]) end
  if empty then
    redis.call('HSET', part, 'seq', numbers[#numbers], 'clock', stream_time, 'since', stream_time)
  else
    redis.call('HSET', part, 'seq', numbers[#numbers], 'clock', stream_time)
  end
  if mark ~= p[9] then redis.call('HSET', part, 'mark', mark) end
  redis.call('MSET', unpack(receipts))
  for k = 1, #moved do
    local arrival = arrival_of[moved[k]]
    redis.call('SET', moved[k], string.format('%.0f', arrival), 'PX', math.ceil(arrival / 1000 - now))
  end
end
return answers
