-- take.lua takes units from a sale for a receipt, once.
--
-- KEYS[1]  the sale's free units        KEYS[2]  the receipt, kept for a day
-- ARGV[1]  units
--
-- Returns "taken", "again" when the receipt has taken them before, or "sold_out".
if redis.call('exists', KEYS[2]) == 1 then
  return 'again'
end
if tonumber(redis.call('get', KEYS[1]) or 0) < tonumber(ARGV[1]) then
  return 'sold_out'
end
redis.call('decrby', KEYS[1], ARGV[1])
redis.call('set', KEYS[2], '', 'ex', 86400)
return 'taken'
