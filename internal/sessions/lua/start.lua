-- start.lua begins a session.
--
-- KEYS[1]  the session: account, role, stamp, secret     KEYS[2]  its account's sessions, by the ms at which they end
-- ARGV[1]  its name     ARGV[2]  account     ARGV[3]  role     ARGV[4]  stamp     ARGV[5]  SHA-256 of the first secret
-- ARGV[6]  ms that it lasts     ARGV[7]  most sessions of an account
--
-- Returns the names of the sessions that are one too many: they are to be forgotten.
local session, sessions = KEYS[1], KEYS[2]
local name, account, role, stamp, secret, life, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', session, 'account', account, 'role', role, 'stamp', stamp, 'secret', secret)
redis.call('PEXPIRE', session, life)
redis.call('ZREMRANGEBYSCORE', sessions, '-inf', string.format('%.0f', now))
redis.call('ZADD', sessions, string.format('%.0f', now + life), name)
redis.call('PEXPIRE', sessions, life)

local over = redis.call('ZCARD', sessions) - most
if over <= 0 then return {} end
local ended = redis.call('ZRANGE', sessions, 0, over - 1)
redis.call('ZREM', sessions, unpack(ended))
return ended
