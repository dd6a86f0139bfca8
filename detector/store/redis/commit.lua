-- Write everything that a batch changes, or nothing.
--
-- ARGV: a header, then for each part as many chunks as the header says. All are MessagePack.
--   header  {based_on, id before, id, bundle, fence, memory, kept revisions, kept rejects, receivers,
--            {chunks of: states, gone, due, not due, rejects, revisions}}
--   states  {source, state, ...}   gone  {source, ...}   due  {time, source, ...}   not due  {source, ...}
--   rejects {reject, ...}          revisions {alert_id, revision, status, payload}, one in each
--
-- Returns {'written', number of sources, the earliest due time} or why nothing was written:
-- {'moved', number, id}, {'receivers'} or {'broken', reason}.

local header = cmsgpack.unpack(ARGV[1])
local based_on, before, id, bundle, position, memory, kept_revisions, kept_rejects, names, counts = unpack(header, 1, 10)

-- The chunks of every part, or why they are not what the header says.
local function read_chunks()
    local parts, at = {}, 1
    for part, count in ipairs(counts) do
        parts[part] = {}
        for chunk = 1, count do
            at = at + 1
            local values = decoded(ARGV[at])
            if not values or #values > MAX_CHUNK then return nil, 'argument ' .. at .. ' is no chunk' end
            for _, value in ipairs(values) do
                if type(value) ~= 'string' and type(value) ~= 'number' then
                    return nil, 'argument ' .. at .. ' holds a ' .. type(value)
                end
            end
            parts[part][chunk] = values
        end
    end
    if at ~= #ARGV then return nil, #ARGV .. ' arguments where ' .. at .. ' were announced' end
    return parts
end

local function fault_of(parts)
    for _, part in ipairs({1, 3}) do
        for _, values in ipairs(parts[part]) do
            if #values % 2 ~= 0 then return 'a chunk of pairs holds ' .. #values .. ' values' end
        end
    end
    for _, values in ipairs(parts[3]) do
        for place = 1, #values, 2 do
            if type(values[place]) ~= 'number' then return 'a time that is no number' end
        end
    end
    for _, values in ipairs(parts[6]) do
        if #values ~= 4 or type(values[2]) ~= 'number' then return 'a revision of ' .. #values .. ' values' end
    end
end

local function write(command, key, chunks)
    for _, values in ipairs(chunks) do
        if #values > 0 then redis.call(command, key, unpack(values)) end
    end
end

local function append(values, raw)
    local alert_id, revision = values[1], values[2]
    local alert = alert_of(alert_id)
    if alert and revision <= alert[1] then return end  -- it is there, or a higher one may have been sent
    seq = seq + 1
    redis.call('HSET', OUTBOX, seq, raw)
    alert = alert or {revision, seq, {}}
    alert[1] = revision
    table.insert(alert[3], seq)
    redis.call('HSET', ALERTS, alert_id, cmsgpack.pack(alert))
    for _, receiver in ipairs(receivers) do
        local _, _, enrolled, disabled = unpack(receiver.record, 1, 5)
        if enrolled and disabled ~= '' then
            set_entry(receiver, seq, {'dead', 0, 0, disabled})
        elseif enrolled then
            wait(receiver, seq, alert_id, alert)
        end
    end
end

local function forget_beyond(kept)
    local last = horizon
    horizon = math.max(horizon, seq - kept)
    for at = last + 1, horizon do drop(at) end
end

local function written()
    local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
    return {'written', redis.call('HLEN', STATES), first[2] or ''}
end

local fault = fault_of_keys(names)
if fault then return {'broken', fault} end
local parts, unreadable = read_chunks()
fault = unreadable or fault_of(parts)
if fault then return {'broken', fault} end

local stored = redis.call('HMGET', FENCE, 'number', 'id', 'sources', 'rejected')
local number, stored_id, sources = tonumber(stored[1] or 0), stored[2] or '', tonumber(stored[3] or 0)
if number == based_on + 1 and stored_id == id then return written() end  -- it was, and its reply was lost
if number ~= based_on or stored_id ~= before then return {'moved', number, stored_id} end
if redis.call('HLEN', STATES) ~= sources then
    return {'broken', STATES .. ' holds ' .. redis.call('HLEN', STATES) .. ' sources where ' .. sources .. ' were written'}
end
if not read_outbox(names) then return {'receivers'} end

-- From here on nothing can be refused.
write('HSET', STATES, parts[1])
write('HDEL', STATES, parts[2])
write('ZADD', DUE, parts[3])
write('ZREM', DUE, parts[4])
write('RPUSH', REJECTS, parts[5])
local rejected = tonumber(stored[4] or 0)
for _, values in ipairs(parts[5]) do rejected = rejected + #values end
if #parts[5] > 0 then redis.call('LTRIM', REJECTS, -kept_rejects, -1) end
for place, values in ipairs(parts[6]) do append(values, ARGV[#ARGV - #parts[6] + place]) end
if #parts[6] > 0 then
    for _, receiver in ipairs(receivers) do bound(receiver) end
    forget_beyond(kept_revisions)
end
redis.call('HSET', FENCE, 'number', number + 1, 'id', id, 'bundle', bundle, 'fence', position, 'memory', memory,
    'before', before, 'sources', redis.call('HLEN', STATES), 'rejected', rejected, 'seq', seq, 'horizon', horizon)
return written()
