-- stalled answers for how many ms nothing has been settled although something is queued, now being the ms of the server's
-- clock: seq is the last number admitted, since when the first of what is queued now was, applied_seq and applied_at are of
-- the last batch. The release before does not note when that was: then nobody knows.
local function stalled(seq, applied_seq, applied_at, since, now)
  if not applied_at or tonumber(seq or 0) <= tonumber(applied_seq or 0) then return 0 end
  return math.max(0, now - math.max(tonumber(applied_at), tonumber(since or now)))
end
