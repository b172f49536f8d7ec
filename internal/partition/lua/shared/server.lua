-- server_mark is cheap to ask for, and another one whenever a server has started, since the interpreter lives elsewhere in
-- its memory; and now and then (a save, a flush of the scripts) another one although it has not.
local function server_mark()
  return string.format('%.0f ', redis.call('LASTSAVE')) .. tostring(redis)
end

-- server_run is what a server calls itself from its start to its end; nil where it does not tell, as one that lives in our
-- own process.
local function server_run()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or nil
end

-- same_server says whether this is the server that the partition's owner trusts (trust.lua): one that has started again, or
-- another one after a failover, may hold older data, and nobody may be told what was true before something that he has seen.
-- Beside that it answers the mark, to be kept. The run, which costs more, is asked for when that is another one.
local function same_server(run, mark)
  if not run then return true, mark end
  local now = server_mark()
  return now == mark or server_run() == run, now
end
