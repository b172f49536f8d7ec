-- unlock.lua frees a lock, if it is still that of the token.
--
-- KEYS[1]  the lock        ARGV[1]  the token
--
-- Returns 1, or 0 when the lock is another one's by now.
if redis.call('get', KEYS[1]) == ARGV[1] then
  return redis.call('del', KEYS[1])
end
return 0
