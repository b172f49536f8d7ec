-- place.lua reads which place in the waiting line of a sale a receipt has.
--
-- KEYS[1]  the sale     KEYS[2]  its line     ARGV[1]  the place: number of the receipt, 8 bytes, and its ID, 16
--
-- Returns it, from 1; 0 when it is not in the line; "unknown_sale" when the sale is not here.
local sale, line, place = KEYS[1], KEYS[2], ARGV[1]

local before = redis.call('ZRANK', line, place)
if before then return before + 1 end
if redis.call('EXISTS', sale) == 0 then return 'unknown_sale' end
return 0
