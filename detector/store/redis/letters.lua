-- What becomes of dead letters, one call at a time.
--
-- ARGV: {what to do, its arguments ...} as MessagePack. Returns {'done', result} or {'broken', reason}.

local call = cmsgpack.unpack(ARGV[1])

local fault = fault_of_keys({})
if fault then return {'broken', fault} end
read_letters()

local actions = {}

-- The oldest that are not published: {number, letter} each, up to so many bytes but at least one.
function actions.unpublished(most_bytes)
    local found, bytes = {}, 0
    for number = math.max(letters.published, letters.horizon) + 1, letters.last do
        local letter = redis.call('HGET', LETTERS, number)
        if letter then
            bytes = bytes + #letter
            if #found > 0 and (bytes > most_bytes or #found == MAX_CHUNK) then break end
            found[#found + 1] = {number, letter}
        end
    end
    return found
end

-- Up to this number all are published.
function actions.published(number)
    letters.published = math.max(letters.published, math.min(number, letters.last))
    write_letters()
end

function actions.remove(numbers)
    local count = 0
    for _, number in ipairs(numbers) do
        if take_letter(number) then count = count + 1 end
    end
    write_letters()
    return count
end

return {'done', actions[call[1]](unpack(call, 2)) or ''}
