-- What the scripts share: the checks before the first write, and the outbox.
--
-- KEYS: fence states due letters outbox alerts receivers, then for every receiver
--       deliveries ready waiting overtaken, in the order of NAMES.
--
-- Redis does not undo what a failing script has written. So everything that can be refused is refused
-- first, and what is read later cannot fail: the keys have the right type, and `decoded` gives nil for
-- what we have not written so.

local KINDS = {'hash', 'hash', 'zset', 'hash', 'hash', 'hash', 'hash'}
local RECEIVER_KINDS = {'hash', 'zset', 'zset', 'set'}
local FENCE, STATES, DUE, LETTERS, OUTBOX, ALERTS, RECEIVERS = unpack(KEYS, 1, 7)
local MAX_CHUNK = 1000  -- `unpack` fails at about 4,000 values

-- Every command that the scripts give to a key of each kind: a user who lacks one is refused before the first.
local COMMANDS = {
    hash = {{'TYPE'}, {'HSET', 'f', 'v'}, {'HDEL', 'f'}, {'HGET', 'f'}, {'HMGET', 'f'}, {'HGETALL'}, {'HKEYS'}, {'HLEN'}},
    zset = {{'TYPE'}, {'ZADD', '0', 'm'}, {'ZREM', 'm'}, {'ZCARD'}, {'ZSCORE', 'm'}, {'ZRANGE', '0', '0'},
            {'ZRANGEBYSCORE', '0', '0'}},
    set = {{'TYPE'}, {'SADD', 'm'}, {'SREM', 'm'}, {'SMEMBERS'}},
}

local function kind_of(index)
    return KINDS[index] or RECEIVER_KINDS[(index - #KINDS - 1) % #RECEIVER_KINDS + 1]
end

-- Why the keys cannot be used, or nil.
local function fault_of_keys(names)
    if #KEYS ~= #KINDS + #names * #RECEIVER_KINDS then
        return 'the script was given ' .. #KEYS .. ' keys for ' .. #names .. ' receivers'
    end
    for index, key in ipairs(KEYS) do
        local wanted = kind_of(index)
        for _, command in ipairs(COMMANDS[wanted]) do
            if not redis.acl_check_cmd(command[1], key, unpack(command, 2)) then
                return 'the user may not ' .. command[1] .. ' ' .. key .. ' (docs/redis.md has the ACL rule)'
            end
        end
        local found = redis.call('TYPE', key).ok
        if found ~= 'none' and found ~= wanted then
            return key .. ' is a ' .. found .. ' where a ' .. wanted .. ' belongs'
        end
    end
end

-- What was packed, if it is a list of values of these types.
local function decoded(value, types)
    if not value then return nil end
    local fine, found = pcall(cmsgpack.unpack, value)
    if not fine or type(found) ~= 'table' or #found ~= #types then return nil end
    for place, wanted in ipairs(types) do
        if type(found[place]) ~= wanted then return nil end
    end
    return found
end

-- receiver: target, max_pending, enrolled, disabled, paused_until_s
local RECEIVER = {'string', 'number', 'boolean', 'string', 'number'}
-- entry of a delivery: state, attempts, due_s, error
local ENTRY = {'string', 'number', 'number', 'string'}
-- revision: alert_id, revision, status, payload
local REVISION = {'string', 'number', 'string', 'string'}
-- alert: its highest revision, its first place, {its places in the outbox, rising}
local ALERT = {'number', 'number', 'table'}

-- Of the dead letters: the last number given, up to which nothing is kept, up to which they are published,
-- how many were dropped for want of room, and the bytes of those that are kept.
local letters = {last = 0, horizon = 0, published = 0, dropped = 0, bytes = 0}
local LETTER_FIELDS = {'letters_last', 'letters_horizon', 'letters_published', 'letters_dropped', 'letters_bytes'}

local function read_letters()
    local found = redis.call('HMGET', FENCE, unpack(LETTER_FIELDS))
    for place, name in ipairs({'last', 'horizon', 'published', 'dropped', 'bytes'}) do
        letters[name] = tonumber(found[place] or 0) or 0
    end
end

local function write_letters()
    redis.call('HSET', FENCE, 'letters_last', letters.last, 'letters_horizon', letters.horizon,
        'letters_published', letters.published, 'letters_dropped', letters.dropped, 'letters_bytes', letters.bytes)
end

-- Take a dead letter out; whether it was there.
local function take_letter(number)
    local letter = redis.call('HGET', LETTERS, number)
    if not letter then return false end
    redis.call('HDEL', LETTERS, number)
    letters.bytes = letters.bytes - #letter
    return true
end

-- A place in the outbox as a member of a sorted set: equal times are then in the order of the outbox.
local function member(seq)
    return string.format('%015.0f', seq)
end

local seq, horizon = 0, 0  -- the last place given; up to the horizon nothing is kept that nobody waits for
local receivers = {}       -- {name, index of its first key, record}

-- Read the counters and the receivers; false unless exactly these receivers are known.
local function read_outbox(names)
    local counters = redis.call('HMGET', FENCE, 'seq', 'horizon')
    seq, horizon = tonumber(counters[1] or 0) or 0, tonumber(counters[2] or 0) or 0
    if redis.call('HLEN', RECEIVERS) ~= #names then return false end
    for place, name in ipairs(names) do
        local record = decoded(redis.call('HGET', RECEIVERS, name), RECEIVER)
        if not record then return false end
        receivers[place] = {name = name, key = #KINDS + (place - 1) * #RECEIVER_KINDS + 1, record = record}
    end
    return true
end

local function deliveries(receiver) return KEYS[receiver.key] end
local function ready(receiver) return KEYS[receiver.key + 1] end
local function waiting(receiver) return KEYS[receiver.key + 2] end
local function overtaken(receiver) return KEYS[receiver.key + 3] end

local function entry_of(receiver, at)
    return decoded(redis.call('HGET', deliveries(receiver), at), ENTRY)
end

local function set_entry(receiver, at, entry)
    redis.call('HSET', deliveries(receiver), at, cmsgpack.pack(entry))
end

local function revision_at(at)
    return decoded(redis.call('HGET', OUTBOX, at), REVISION)
end

local function alert_of(alert_id)
    return decoded(redis.call('HGET', ALERTS, alert_id), ALERT)
end

-- The places of an alert that wait for a receiver, rising, with their entries.
local function waiting_of(receiver, alert)
    local found = {}
    for _, at in ipairs(alert and alert[3] or {}) do
        local entry = entry_of(receiver, at)
        if entry and entry[1] == 'pending' then found[#found + 1] = {at = at, entry = entry} end
    end
    return found
end

-- Let the lowest that waits be the one that may be sent: a lower revision never goes after a higher one.
local function make_ready(receiver, alert)
    local chain = waiting_of(receiver, alert)
    for place, one in ipairs(chain) do
        if place == 1 then
            redis.call('ZADD', ready(receiver), one.entry[3], member(one.at))
        else
            redis.call('ZREM', ready(receiver), member(one.at))
        end
    end
    return chain
end

-- Forget a place, unless somebody waits for it; its alert goes with its last place.
local function drop(at)
    local is_awaited = false
    for _, receiver in ipairs(receivers) do
        if redis.call('ZSCORE', waiting(receiver), member(at)) then
            is_awaited = true
        else
            redis.call('HDEL', deliveries(receiver), at)
        end
    end
    if is_awaited then return end
    local revision = revision_at(at)
    redis.call('HDEL', OUTBOX, at)
    local alert = revision and alert_of(revision[1])
    if not alert then return end
    local left = {}
    for _, other in ipairs(alert[3]) do
        if other ~= at then left[#left + 1] = other end
    end
    if #left == 0 then
        redis.call('HDEL', ALERTS, revision[1])
    else
        redis.call('HSET', ALERTS, revision[1], cmsgpack.pack({alert[1], alert[2], left}))
    end
end

-- Take a delivery out of those that wait.
local function finish(receiver, at, state, attempts, error)
    local entry, revision = entry_of(receiver, at), revision_at(at)
    redis.call('ZREM', waiting(receiver), member(at))
    redis.call('ZREM', ready(receiver), member(at))
    if entry then set_entry(receiver, at, {state, entry[2] + attempts, entry[3], error}) end
    if revision then make_ready(receiver, alert_of(revision[1])) end
    if at <= horizon then drop(at) end
end

-- Mark the oldest deliveries of a receiver that is over its bound dead.
local function bound(receiver)
    local excess = redis.call('ZCARD', waiting(receiver)) - math.max(receiver.record[2], 0)
    while excess > 0 do
        local oldest = redis.call('ZRANGE', waiting(receiver), 0, math.min(excess, MAX_CHUNK) - 1)
        for _, at in ipairs(oldest) do
            finish(receiver, tonumber(at), 'dead', 0, 'too many deliveries were waiting')
        end
        excess = excess - #oldest
    end
end

-- Note an alert in which one that has failed waits before a newer one. Those that merely wait are many when a
-- receiver was away, and nobody is to look through them at every turn.
local function note_overtaken(receiver, alert_id, chain)
    for place = 1, #chain - 1 do
        if chain[place].entry[2] > 0 then redis.call('SADD', overtaken(receiver), alert_id) end
    end
end

-- Put a delivery among those that wait.
local function wait(receiver, at, alert_id, alert)
    set_entry(receiver, at, {'pending', 0, 0, ''})
    redis.call('ZADD', waiting(receiver), at, member(at))
    note_overtaken(receiver, alert_id, make_ready(receiver, alert))
end
