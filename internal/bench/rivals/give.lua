-- give.lua gives back what a receipt has taken.
--
-- KEYS[1]  the sale's free units        KEYS[2]  the receipt
-- ARGV[1]  units
--
-- Returns 1, or 0 when the receipt has taken nothing.
if redis.call('del', KEYS[2]) == 0 then
  return 0
end
redis.call('incrby', KEYS[1], ARGV[1])
return 1
