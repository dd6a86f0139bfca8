-- What becomes of deliveries, one call at a time.
--
-- ARGV: {receivers, what to do, its arguments ...} as MessagePack.
-- Returns {'done', result}, {'receivers'} where others are known than were named, or {'broken', reason}.

local call = cmsgpack.unpack(ARGV[1])
local names, action = call[1], call[2]

local fault = fault_of_keys(names)
if fault then return {'broken', fault} end

local function set_record(receiver)
    redis.call('HSET', RECEIVERS, receiver.name, cmsgpack.pack(receiver.record))
end

local actions = {}

function actions.due(receiver, now_s, limit)
    local _, _, _, disabled, paused_until_s = unpack(receiver.record, 1, 5)
    local found = {}
    if disabled ~= '' or paused_until_s > now_s then return found end
    for _, at in ipairs(redis.call('ZRANGEBYSCORE', ready(receiver), '-inf', now_s, 'LIMIT', 0, limit)) do
        local place = tonumber(at)
        local entry, raw = entry_of(receiver, place), redis.call('HGET', OUTBOX, place)
        if entry and raw then found[#found + 1] = {place, tostring(entry[3]), entry[2], raw} end
    end
    return found
end

function actions.next_due_s(receiver)
    local _, _, _, disabled, paused_until_s = unpack(receiver.record, 1, 5)
    local first = redis.call('ZRANGE', ready(receiver), 0, 0, 'WITHSCORES')
    if disabled ~= '' or not first[2] then return '' end
    return string.format('%.17g', math.max(tonumber(first[2]), paused_until_s))
end

-- A newer revision of the same status takes the place of one that has failed.
function actions.supersede(receiver)
    for _, alert_id in ipairs(redis.call('SMEMBERS', overtaken(receiver))) do
        local newest, chain = {}, waiting_of(receiver, alert_of(alert_id))
        for _, one in ipairs(chain) do
            one.status = (revision_at(one.at) or {})[3]
            newest[one.status or ''] = one.at
        end
        for _, one in ipairs(chain) do
            if one.entry[2] > 0 and one.at < newest[one.status or ''] then
                finish(receiver, one.at, 'superseded', 0, one.entry[4])
            end
        end
        -- Until another one fails or comes nothing more is to be done.
        redis.call('SREM', overtaken(receiver), alert_id)
    end
end

-- Nobody gives up what another process has brought there meanwhile.
function actions.finish(receiver, at, state, error)
    local entry = entry_of(receiver, at)
    if state ~= 'delivered' and not (entry and entry[1] == 'pending') then return end
    finish(receiver, at, state, 1, error)
end

function actions.skip(receiver, at, error)
    local entry = entry_of(receiver, at)
    if entry and entry[1] == 'pending' then finish(receiver, at, 'dead', 0, error) end
end

-- Whether an earlier revision was tried, 1 or 0; nothing where none is known.
function actions.was_told(receiver, at)
    local revision = revision_at(at)
    local alert, told = revision and alert_of(revision[1]), nil
    for _, other in ipairs(alert and alert[3] or {}) do
        local entry = other < at and entry_of(receiver, other)
        if entry then told = math.max(told or 0, entry[2] > 0 and 1 or 0) end
    end
    return told
end

function actions.retry(receiver, at, due_s, error)
    local entry = entry_of(receiver, at)
    if not entry or entry[1] ~= 'pending' then return end
    set_entry(receiver, at, {'pending', entry[2] + 1, due_s, error})
    redis.call('ZADD', ready(receiver), due_s, member(at))
    local revision = revision_at(at)
    if revision then note_overtaken(receiver, revision[1], waiting_of(receiver, alert_of(revision[1]))) end
end

function actions.pause(receiver, until_s)
    receiver.record[5] = math.max(receiver.record[5], until_s)
    set_record(receiver)
end

function actions.disable(receiver, reason)
    receiver.record[4] = reason
    set_record(receiver)
    for _, at in ipairs(redis.call('ZRANGE', waiting(receiver), 0, -1)) do
        finish(receiver, tonumber(at), 'dead', 0, reason)
    end
end

-- Whether a higher revision was sent, tried or given up by itself, so that this one would come after it.
local function is_overtaken(receiver, at, alert)
    for _, other in ipairs(alert[3]) do
        local entry = other > at and entry_of(receiver, other)
        if entry and (entry[1] ~= 'dead' or entry[2] > 0) then return true end
    end
    return false
end

-- Dead deliveries wait again.
function actions.resend(receiver)
    local dead, count = {}, 0
    local all = redis.call('HGETALL', deliveries(receiver))
    for place = 1, #all, 2 do
        local entry = decoded(all[place + 1], ENTRY)
        if entry and entry[1] == 'dead' then dead[#dead + 1] = {at = tonumber(all[place]), entry = entry} end
    end
    -- Which are overtaken is decided before any of them waits again.
    for _, one in ipairs(dead) do
        one.revision = revision_at(one.at)
        one.alert = one.revision and alert_of(one.revision[1])
        one.overtaken = not one.alert or is_overtaken(receiver, one.at, one.alert)
    end
    for _, one in ipairs(dead) do
        if one.overtaken then
            set_entry(receiver, one.at, {'superseded', one.entry[2], 0, one.entry[4]})
        else
            wait(receiver, one.at, one.revision[1], one.alert)
            count = count + 1
        end
    end
    bound(receiver)
    return count
end

-- Make these the receivers: {{name, target, max_pending, enable}, ...}; those that are left out get nothing new.
local function enrol(wanted)
    local known = {}
    for _, name in ipairs(redis.call('HKEYS', RECEIVERS)) do known[name] = true end
    for _, name in ipairs(names) do known[name] = nil end
    if next(known) then return {'receivers'} end
    local new = {}
    for _, one in ipairs(wanted) do new[one[1]] = one end
    for _, name in ipairs(names) do
        local record, one = decoded(redis.call('HGET', RECEIVERS, name), RECEIVER) or {'', 0, false, '', 0}, new[name]
        record[3] = one ~= nil
        if one then
            if one[4] or record[1] ~= one[2] then record[4], record[5] = '', 0 end
            record[1], record[2] = one[2], one[3]
        end
        redis.call('HSET', RECEIVERS, name, cmsgpack.pack(record))
    end
    read_outbox(names)
    for _, receiver in ipairs(receivers) do bound(receiver) end
    return {'done', ''}
end

if action == 'enrol' then return enrol(call[3]) end
if not read_outbox(names) then return {'receivers'} end
for _, receiver in ipairs(receivers) do
    if receiver.name == call[3] then
        return {'done', actions[action](receiver, unpack(call, 4)) or ''}
    end
end
return {'done', ''}
