-- apply.lua makes one settled batch true in Redis, exactly once and all at once.
--
-- KEYS[1]  the partition's hash: epoch, applied, applied_seq, applied_at, seq, clock, drain, young, young_since, run, mark
-- KEYS[2]  its stream
-- KEYS[3] KEYS[4]  the rejected receipts, two hashes     KEYS[5]  the dead-letter stream
-- KEYS[6…] for each sale: its hash, its buyers, its holds, its line; then each decided receipt; then each rejected receipt
-- ARGV[1]  epoch of the owner     ARGV[2]  prev, the watermark the batch starts from     ARGV[3]  last, its own last entry
-- ARGV[4]  number of that entry     ARGV[5]  entries settled per second, as the owner sees it
-- ARGV[6]  most rejected receipts in one hash     ARGV[7]  ms after which a hash is old
-- ARGV[8]  command that announces: PUBLISH, or SPUBLISH     ARGV[9]  channel     ARGV[10]  what, behind the ms of this server's clock
-- ARGV[11] number of sales, then for each: changes of free, held, sold, stock, waiting; phase, paid_out, exhausted,
--          closes_at, suspended afterwards; ms of its expiry; numbers of buyers, holds, places in line; then for each buyer: who, change
--          of units; for each hold, then for each place: "take" or "leave", ms, member
-- then     number of decided receipts, then for each: record, ms of its expiry
-- then     number of rejected receipts, then for each: ID, short where the record is brief, and record
-- then     number of dead entries, then for each: ID, cause, attempts
--
-- A sale that is not there is left alone: it is loaded from Postgres when it is needed. A dead entry is copied to the
-- dead-letter stream: its own fields, then entry (its ID), cause, attempts; one that the stream has no more is not.
--
-- Returns {"applied", ms of this server's clock}, with "strange" behind that when it is not the server that the owner has
-- trusted: it has started again, or taken over, and nobody has looked what it holds; "again" when the batch already was (nothing changes); "behind" when
-- batches in between are missing (nothing changes); the error FENCED when the epoch is not the owner's; the error BROKEN,
-- changing nothing, when a counter would go below zero, units would not add up, a place is left that nobody has or taken
-- that somebody has, there would not be as many in line as wait or as many holds as can be held, or the batch overlaps what
-- was applied.
local part, stream, dead = KEYS[1], KEYS[2], KEYS[5]
local epoch, prev, last, last_seq, drain = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local most, old_after, announce, channel, announcement = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10]

local function split(entry) local at, no = string.match(entry, '^(%d+)-(%d+)$') return tonumber(at), tonumber(no) end
local function before(a, b)
  local a_at, a_no = split(a)
  local b_at, b_no = split(b)
  return a_at < b_at or a_at == b_at and a_no < b_no
end

local p = redis.call('HMGET', part, 'epoch', 'applied', 'seq', 'clock', 'young', 'young_since', 'applied_seq', 'run', 'mark')
if p[1] ~= epoch then return redis.error_reply('FENCED epoch is ' .. tostring(p[1])) end
local applied, young = p[2] or '0-0', tonumber(p[5] or 0)
if applied ~= prev then
  if not before(applied, last) then return 'again' end
  if before(applied, prev) then return 'behind' end
  return redis.error_reply('BROKEN watermark ' .. applied .. ' is inside the batch ' .. prev .. ' to ' .. last)
end

-- Errors do not roll back: everything is read and checked before anything is written.

-- places answers how many there are in a sorted set after n changes of it, which stand in ARGV; nil when one does not fit.
local function places(set, from, n)
  local seen, more = {}, 0
  for j = from, from + 3 * n - 1, 3 do
    local leaves, ms, member = ARGV[j] == 'leave', tonumber(ARGV[j + 1]), ARGV[j + 2]
    local there = redis.call('ZSCORE', set, member)
    if seen[member] or leaves and tonumber(there or -1) ~= ms or there and not leaves then return nil end
    seen[member], more = true, more + (leaves and -1 or 1)
  end
  return redis.call('ZCARD', set) + more
end

local counters = {'free', 'held', 'sold', 'stock', 'waiting'}
local key, arg = 6, 11
local sales = tonumber(ARGV[arg])
arg = arg + 1
local first_sale_key, first_sale_arg, there = key, arg, {}
for i = 1, sales do
  local sale, buyers, holds, line = KEYS[key], KEYS[key + 1], KEYS[key + 2], KEYS[key + 3]
  local first_buyer, n_holds, n_line = arg + 14, tonumber(ARGV[arg + 12]), tonumber(ARGV[arg + 13])
  local first_hold = first_buyer + 2 * tonumber(ARGV[arg + 11])
  local first_place = first_hold + 3 * n_holds
  local s = redis.call('HMGET', sale, unpack(counters))
  there[i] = s[1]
  if s[1] then
    local after = {}
    for j = 1, #counters do
      after[j] = tonumber(s[j] or 0) + tonumber(ARGV[arg + j - 1])
      if after[j] < 0 then return redis.error_reply('BROKEN ' .. sale .. ' would have less than nothing') end
    end
    local free, held, sold, stock, waiting = unpack(after)
    if free + held + sold ~= stock then return redis.error_reply('BROKEN ' .. sale .. ' would not add up') end
    for j = first_buyer, first_hold - 1, 2 do
      local change = tonumber(ARGV[j + 1])
      if change < 0 and tonumber(redis.call('HGET', buyers, ARGV[j]) or 0) + change < 0 then
        return redis.error_reply('BROKEN ' .. buyers .. ' would have less than nothing')
      end
    end
    local kept = places(holds, first_hold, n_holds) -- each of at least one unit
    if not kept or kept > held or kept == 0 and held > 0 then return redis.error_reply('BROKEN ' .. holds .. ' would not fit') end
    if places(line, first_place, n_line) ~= waiting then return redis.error_reply('BROKEN ' .. line .. ' would not fit') end
  end
  key, arg = key + 4, first_place + 3 * n_line
end

-- From here on everything is written.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

-- pace notes how many free units of a sale each request of its partition takes, in the mean, and line how many have left
-- its line since when: what is told of the chances of those behind is judged by that. Both start anew with a loaded sale.
local settled = tonumber(last_seq) - tonumber(p[7] or 0)
local function pace(sale, free)
  if settled <= 0 or free >= 0 then return end
  local before, taken = redis.call('HGET', sale, 'pace'), -free / settled
  if before then taken = before + (taken - before) * settled / (settled + 100) end
  redis.call('HSET', sale, 'pace', string.format('%.6f', taken))
end
local function line(sale, from, n)
  if n == 0 then return end
  redis.call('HSETNX', sale, 'line_since', now)
  local left = 0
  for j = from, from + 3 * n - 1, 3 do
    if ARGV[j] == 'leave' then left = left + 1 end
  end
  if left > 0 then redis.call('HINCRBY', sale, 'line_left', left) end
end

local rest_key, rest_arg = key, arg
key, arg = first_sale_key, first_sale_arg
for i = 1, sales do
  local sale, buyers, expiry = KEYS[key], KEYS[key + 1], ARGV[arg + 10]
  local first_buyer = arg + 14
  local first_hold = first_buyer + 2 * tonumber(ARGV[arg + 11])
  local first_place = first_hold + 3 * tonumber(ARGV[arg + 12])
  local rest = first_place + 3 * tonumber(ARGV[arg + 13])
  if there[i] then
    for j, field in ipairs(counters) do
      if ARGV[arg + j - 1] ~= '0' then redis.call('HINCRBY', sale, field, ARGV[arg + j - 1]) end
    end
    pace(sale, tonumber(ARGV[arg]))
    line(sale, first_place, tonumber(ARGV[arg + 13]))
    redis.call('HSET', sale, 'phase', ARGV[arg + 5], 'paid_out', ARGV[arg + 6], 'exhausted', ARGV[arg + 7], 'closes_at', ARGV[arg + 8])
    if ARGV[arg + 9] == '1' then redis.call('HSET', sale, 'suspended', 1) else redis.call('HDEL', sale, 'suspended') end
    for j = first_buyer, first_hold - 1, 2 do
      if redis.call('HINCRBY', buyers, ARGV[j], ARGV[j + 1]) == 0 then redis.call('HDEL', buyers, ARGV[j]) end
    end
    for j = first_hold, rest - 1, 3 do
      local set = KEYS[key + (j < first_place and 2 or 3)]
      if ARGV[j] == 'take' then redis.call('ZADD', set, ARGV[j + 1], ARGV[j + 2]) else redis.call('ZREM', set, ARGV[j + 2]) end
    end
    for of = 0, 3 do redis.call('PEXPIREAT', KEYS[key + of], expiry) end
  end
  key, arg = key + 4, rest
end
key, arg = rest_key, rest_arg

local decided = tonumber(ARGV[arg])
arg = arg + 1
for _ = 1, decided do
  redis.call('SET', KEYS[key], ARGV[arg], 'PXAT', ARGV[arg + 1])
  key, arg = key + 1, arg + 2
end

local rejected = tonumber(ARGV[arg])
arg = arg + 1
if rejected > 0 then
  -- Two hashes take turns: when the young one is full or old it becomes the old one, and that is forgotten.
  local last_at = split(last)
  if not p[6] then
    redis.call('HSET', part, 'young', young, 'young_since', string.format('%.0f', last_at))
  elseif last_at - tonumber(p[6]) >= old_after or redis.call('HLEN', KEYS[3 + young]) >= most then
    young = 1 - young
    redis.call('UNLINK', KEYS[3 + young])
    redis.call('HSET', part, 'young', young, 'young_since', string.format('%.0f', last_at))
  end
end
for _ = 1, rejected do
  redis.call('UNLINK', KEYS[key])
  redis.call('HSET', KEYS[3 + young], ARGV[arg], ARGV[arg + 1])
  key, arg = key + 1, arg + 2
end

for i = arg + 1, arg + 3 * tonumber(ARGV[arg]), 3 do
  local entry = redis.call('XRANGE', stream, ARGV[i], ARGV[i])[1]
  if entry then
    local letter = entry[2]
    for _, word in ipairs({'entry', entry[1], 'cause', ARGV[i + 1], 'attempts', ARGV[i + 2]}) do letter[#letter + 1] = word end
    redis.call('XADD', dead, '*', unpack(letter))
  end
end

redis.call('HSET', part, 'applied', last, 'applied_seq', last_seq, 'applied_at', now, 'drain', drain)
if tonumber(p[3] or 0) < tonumber(last_seq) then
  -- An older data set came back: numbers and time go on from what is settled.
  redis.call('HSET', part, 'seq', last_seq, 'clock', string.format('%.0f', math.max(tonumber(p[4] or 0), (split(last)) + 1)))
end
redis.call('XTRIM', stream, 'MINID', '~', last)
redis.call(announce, channel, now .. ' ' .. announcement)
local same, mark = same_server(p[8], p[9])
if not same then return {'applied', now, 'strange'} end
if mark ~= p[9] then redis.call('HSET', part, 'mark', mark) end
return {'applied', now}
