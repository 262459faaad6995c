-- A strict reader of JSON: a body is refused unless it is RFC 8259, and exactly what the type of
-- its message says.
--
-- A field is a table: its `name`; its `kind` (see kinds.lua; none where the contract does not say);
-- for messages the `fields` of their type, by both spellings; whether it is a `list` or a `map`.

local DEPTH_MAX = 32
local SHOWN_MAX = 64
-- Values and escapes in one body: no contract needs a tenth of it, and a worker that reads a body
-- serves nobody else meanwhile.
local STEPS_MAX = 20000

local byte, find, gsub, sub = string.byte, string.find, string.gsub, string.sub

-- Bytes that decide what comes next.
local QUOTE, COMMA, COLON, MINUS = 34, 44, 58, 45
local ARRAY, ARRAY_END, OBJECT, OBJECT_END = 91, 93, 123, 125
local NULL = byte("n")
local WORDS = { [NULL] = "^null", [byte("t")] = "^true", [byte("f")] = "^false" }

-- What may be anything.
local ANY = {}

-- Why the text that is being checked is refused, and where. Checks run to their end without
-- yielding, so one place is enough for all requests of a worker.
local problem, place
-- The fields that the path of this request binds, as ",game_id,"; they may not come twice.
local bound
-- How many values and escapes have been read.
local steps

local function refuse(what)
  problem, place = what, ""
  return nil
end

local function too_many_steps()
  steps = steps + 1
  return steps > STEPS_MAX
end

local function shown(text)
  return (gsub(gsub(sub(text, 1, SHOWN_MAX), "[^\32-\126]", "?"), '["\\]', "?"))
end

local function inside(name)
  if place == "" then
    place = name
  elseif name ~= "" then
    place = name .. "." .. place
  end
  return nil
end

local function skip_space(text, at)
  local _, last = find(text, "^[ \t\r\n]*", at)
  return last + 1
end

-- Each of these returns the position after what it read, or nil after `refuse`.

local function end_string(text, begin, last)
  if not kinds.is_utf8(text, begin, last) then
    return refuse("is not UTF-8")
  end
  return last + 1
end

local function read_string(text, at)
  -- Nearly all strings are plain ASCII, and found to be so in one go.
  local _, last = find(text, '^"[^"\\%z\1-\31\128-\255]*"', at)
  if last then
    return last + 1
  end
  local begin = at
  at = at + 1
  while true do
    _, last = find(text, '^[^"\\%z\1-\31]*', at)
    at = last + 1
    local next_byte = byte(text, at)
    if next_byte == QUOTE then
      return end_string(text, begin, at)
    elseif too_many_steps() then
      return refuse("holds too much")
    elseif find(text, '^\\["\\/bfnrt]', at) then
      at = at + 2
    elseif find(text, "^\\u[dD][89abAB]%x%x\\u[dD][c-fC-F]%x%x", at) then
      at = at + 12
    elseif find(text, "^\\u[dD][89a-fA-F]%x%x", at) then
      return refuse("holds half a character")
    elseif find(text, "^\\u%x%x%x%x", at) then
      at = at + 6
    else
      return refuse("is not valid JSON: a string does not end, or holds what it may not")
    end
  end
end

local function read_number(text, at)
  local _, last = find(text, "^-?%d+", at)
  if not last or find(text, "^-?0%d", at) then
    return refuse("is not valid JSON: a number is malformed")
  end
  local _, fraction = find(text, "^%.%d+", last + 1)
  last = fraction or last
  local _, exponent = find(text, "^[eE][+-]?%d+", last + 1)
  return (exponent or last) + 1
end

local read_value

local function read_array(text, at, element, depth)
  at = skip_space(text, at + 1)
  if byte(text, at) == ARRAY_END then
    return at + 1
  end
  while true do
    at = read_value(text, at, element, depth)
    if not at then
      return nil
    end
    at = skip_space(text, at)
    local next_byte = byte(text, at)
    if next_byte == ARRAY_END then
      return at + 1
    elseif next_byte ~= COMMA then
      return refuse("is not valid JSON: a list does not end")
    end
    at = skip_space(text, at + 1)
  end
end

-- Reads a key and the colon after it. Returns the position of the value, and the key as written.
local function read_key(text, at)
  if byte(text, at) ~= QUOTE then
    return refuse("is not valid JSON: a key is not a string")
  end
  local after = read_string(text, at)
  if not after then
    return nil
  end
  local key = sub(text, at + 1, after - 2)
  at = skip_space(text, after)
  if byte(text, at) ~= COLON then
    return refuse("is not valid JSON: a key has no value")
  end
  return skip_space(text, at + 1), key
end

local read_object

local function read_field(text, at, field, depth)
  local first = byte(text, at)
  if first == NULL then
    -- As if the field were not there.
    return read_value(text, at, ANY, depth)
  elseif field.map then
    if first ~= OBJECT then
      return refuse(kinds.EXPECTED.message)
    end
    return read_object(text, at, nil, depth + 1, field)
  elseif field.list then
    if first ~= ARRAY then
      return refuse("is not a list")
    end
    return read_array(text, at, field, depth + 1)
  end
  return read_value(text, at, field, depth)
end

-- `fields` are those of the object's type; nil where any key will do, and then `element` says what
-- each value is.
read_object = function(text, at, fields, depth, element)
  at = skip_space(text, at + 1)
  if byte(text, at) == OBJECT_END then
    return at + 1
  end
  local seen = {}
  while true do
    local value_at, key = read_key(text, at)
    if not value_at then
      return nil
    end
    local field, name = element, key
    if fields then
      field = fields[key]
      if not field then
        refuse("is not a field here")
        return inside(shown(key))
      end
      name = field.name
    end
    if seen[name] or (depth == 1 and find(bound, "," .. name .. ",", 1, true)) then
      refuse("is given twice")
      return inside(shown(name))
    end
    seen[name] = true
    if fields then
      at = read_field(text, value_at, field, depth)
    else
      at = read_value(text, value_at, field, depth)
    end
    if not at then
      return inside(shown(name))
    end
    at = skip_space(text, at)
    local next_byte = byte(text, at)
    if next_byte == OBJECT_END then
      return at + 1
    elseif next_byte ~= COMMA then
      return refuse("is not valid JSON: an object does not end")
    end
    at = skip_space(text, at + 1)
  end
end

local function read_scalar(text, at, field, is_string)
  local after
  if is_string then
    after = read_string(text, at)
  else
    after = read_number(text, at)
  end
  local kind = field.kind
  if not after or not kind or (is_string and kind == "string") then
    return after
  end
  local first, last = at, after - 1
  if is_string then
    first, last = at + 1, after - 2
  end
  local wrong = kinds.wrong(field, sub(text, first, last), is_string)
  if wrong then
    return refuse(wrong)
  end
  return after
end

-- Reads one value: that of a field, or an element of its list or map.
read_value = function(text, at, field, depth)
  if depth > DEPTH_MAX then
    return refuse("is nested too deep")
  elseif too_many_steps() then
    return refuse("holds too much")
  end
  local first, kind = byte(text, at), field.kind
  if first == QUOTE then
    return read_scalar(text, at, field, true)
  elseif first == MINUS or (first and first >= 48 and first <= 57) then
    return read_scalar(text, at, field, false)
  elseif first == OBJECT and (not kind or kind == "message") then
    return read_object(text, at, field.fields, depth + 1, ANY)
  elseif first == ARRAY and not kind then
    return read_array(text, at, ANY, depth + 1)
  end
  local _, last = nil, nil
  if WORDS[first] then
    _, last = find(text, WORDS[first], at)
  end
  if not last and first ~= OBJECT and first ~= ARRAY then
    return refuse("is not valid JSON")
  elseif kind and not (kind == "bool" and first ~= NULL and last) then
    return refuse(kinds.EXPECTED[kind])
  end
  return last + 1
end

-- Returns why the body is not what its type says, and where; nil if it is.
local function check(text, fields, path_fields)
  problem, place, bound, steps = nil, "", path_fields, 0
  local at = skip_space(text, 1)
  if at > #text then
    return nil -- no body is an empty message
  end
  if byte(text, at) ~= OBJECT then
    return "is not a JSON object", ""
  end
  at = read_object(text, at, fields, 1)
  if at and skip_space(text, at) <= #text then
    refuse("is not valid JSON: something follows the object")
  end
  return problem, place
end

return { check = check, shown = shown }
