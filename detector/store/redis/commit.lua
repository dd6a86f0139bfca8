-- Write everything that a batch changes, or nothing.
--
-- ARGV: a header in MessagePack, then as many values of each part as the header says.
--   header  {based_on, id before, id, bundle, fence, memory, kept revisions, kept letters, bytes of
--            them, receivers, {values of: states, gone, due, not due, rejects, revisions}}
--   states  source, state, ...     gone  source, ...     due  time, source, ...     not due  source, ...
--   rejects opaque                 revisions  {alert_id, revision, status, payload} in MessagePack
--
-- Returns {'written', number of sources, the earliest due time} or why nothing was written:
-- {'moved', number, id}, {'receivers'} or {'broken', reason}.

local HEADER = {'number', 'string', 'string', 'string', 'string', 'string', 'number', 'number', 'number', 'table', 'table'}
local header = decoded(ARGV[1], HEADER)
if not header or #header[11] ~= 6 then return {'broken', 'a header that is none'} end
local based_on, before, id, bundle, position, memory, kept_revisions, kept_letters, letter_bytes, names, counts =
    unpack(header, 1, 11)

local STATES_PART, GONE, DUE_PART, NOT_DUE, REJECTED, REVISIONS = 1, 2, 3, 4, 5, 6
local first, last = {}, {}  -- of each part, in ARGV

-- Why the arguments are not what the header says, or nil.
local function fault_of_arguments()
    local at = 1
    for part = STATES_PART, REVISIONS do
        first[part], last[part] = at + 1, at + counts[part]
        at = last[part]
    end
    if at ~= #ARGV then return #ARGV .. ' arguments where ' .. at .. ' were announced' end
    if counts[STATES_PART] % 2 ~= 0 or counts[DUE_PART] % 2 ~= 0 then return 'half a pair' end
    for place = first[DUE_PART], last[DUE_PART], 2 do
        if not string.find(ARGV[place], '^-?%d+$') then return 'a time that is no number' end
    end
    for place = first[REVISIONS], last[REVISIONS] do
        if not decoded(ARGV[place], REVISION) then return 'a revision that is none' end
    end
end

local function write(command, key, part)
    for place = first[part], last[part], MAX_CHUNK do
        redis.call(command, key, unpack(ARGV, place, math.min(place + MAX_CHUNK - 1, last[part])))
    end
end

local function append(raw)
    local alert_id, revision = unpack(decoded(raw, REVISION), 1, 2)
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

-- Number the dead letters, and drop the oldest beyond the bounds.
local function put_letters()
    read_letters()
    for place = first[REJECTED], last[REJECTED] do
        letters.last = letters.last + 1
        letters.bytes = letters.bytes + #ARGV[place]
        redis.call('HSET', LETTERS, letters.last, ARGV[place])
    end
    local kept = redis.call('HLEN', LETTERS)
    while letters.horizon < letters.last and (kept > kept_letters or letters.bytes > letter_bytes) do
        letters.horizon = letters.horizon + 1
        if take_letter(letters.horizon) then
            kept, letters.dropped = kept - 1, letters.dropped + 1
        end
    end
    write_letters()
end

local function written()
    local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
    return {'written', redis.call('HLEN', STATES), first[2] or ''}
end

local fault = fault_of_keys(names) or fault_of_arguments()
if fault then return {'broken', fault} end

local stored = redis.call('HMGET', FENCE, 'number', 'id', 'sources')
local number, stored_id, sources = tonumber(stored[1] or 0) or 0, stored[2] or '', tonumber(stored[3] or 0) or 0
if number == based_on + 1 and stored_id == id then return written() end  -- it was, and its reply was lost
if number ~= based_on or stored_id ~= before then return {'moved', number, stored_id} end
if redis.call('HLEN', STATES) ~= sources then
    return {'broken', STATES .. ' holds ' .. redis.call('HLEN', STATES) .. ' sources where ' .. sources .. ' were written'}
end
if not read_outbox(names) then return {'receivers'} end

-- From here on nothing can be refused.
write('HSET', STATES, STATES_PART)
write('HDEL', STATES, GONE)
write('ZADD', DUE, DUE_PART)
write('ZREM', DUE, NOT_DUE)
if counts[REJECTED] > 0 then put_letters() end
for place = first[REVISIONS], last[REVISIONS] do append(ARGV[place]) end
if counts[REVISIONS] > 0 then
    for _, receiver in ipairs(receivers) do bound(receiver) end
    forget_beyond(kept_revisions)
end
redis.call('HSET', FENCE, 'number', number + 1, 'id', id, 'bundle', bundle, 'fence', position, 'memory', memory,
    'before', before, 'sources', redis.call('HLEN', STATES), 'seq', seq, 'horizon', horizon)
redis.call('HDEL', FENCE, 'mark')  -- what was tried has come to its end
return written()
