-- rotate.lua makes the next secret of a session current, or ends a session whose former secret is shown.
--
-- KEYS[1]  the session: secret     KEYS[2]  its account's sessions, by the ms at which they end
-- ARGV[1]  its name     ARGV[2]  SHA-256 of the secret shown     ARGV[3]  SHA-256 of the next     ARGV[4]  ms that it lasts
--
-- Returns "rotated", also when the same call did it before; "unknown" when there is no such session (nothing changes);
-- "replayed" when the secret is not current: then the session is ended.
local session, sessions, name, shown, fresh, life = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local current = redis.call('HGET', session, 'secret')
if not current then return 'unknown' end
if current ~= shown and current ~= fresh then
  redis.call('DEL', session)
  redis.call('ZREM', sessions, name)
  return 'replayed'
end

local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + life
redis.call('HSET', session, 'secret', fresh)
redis.call('PEXPIRE', session, life)
redis.call('ZADD', sessions, string.format('%.0f', ends), name)
redis.call('PEXPIRE', sessions, life)
return 'rotated'
