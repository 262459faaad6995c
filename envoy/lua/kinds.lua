-- What the value of one field may be, in JSON and in a query. Strings are given as they are
-- written; each check returns what is wrong, or nil.

local byte, char, find, gsub, match, sub =
  string.byte, string.char, string.find, string.gsub, string.match, string.sub

local DAYS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local NANOSECOND_DIGITS = 9

-- The largest of each kind of integer above and below zero, as digits: Lua's numbers lose the last
-- ones of 64 bits. Its numbers are exact from `least` to `most`.
local INTEGERS = {
  int32 = { above = "2147483647", below = "2147483648", least = -2 ^ 31, most = 2 ^ 31 - 1 },
  uint32 = { above = "4294967295", below = "0", least = 0, most = 2 ^ 32 - 1 },
  int64 = {
    above = "9223372036854775807", below = "9223372036854775808", least = -2 ^ 53, most = 2 ^ 53,
  },
  uint64 = { above = "18446744073709551615", below = "0", least = 0, most = 2 ^ 53 },
}

-- What is said of a value that is written as no value of its kind is.
local EXPECTED = {
  string = "is not a string",
  bool = "is not true or false",
  enum = "is not one of its values",
  time = "is not a time such as 2027-01-31T12:00:00Z",
  message = "is not an object",
}
for kind in pairs(INTEGERS) do
  EXPECTED[kind] = "is not an integer"
end

-- Whether the bytes from `at` to `last` are UTF-8 as RFC 3629 defines it.
local function is_utf8(text, at, last)
  while at <= last do
    local lead, low, high, more = byte(text, at), 128, 191, 0
    if lead < 128 then
      more = 0
    elseif lead >= 194 and lead <= 223 then
      more = 1
    elseif lead >= 224 and lead <= 239 then
      more = 2
      -- No overlong forms, and no halves of surrogate pairs.
      low = lead == 224 and 160 or low
      high = lead == 237 and 159 or high
    elseif lead >= 240 and lead <= 244 then
      more = 3
      low = lead == 240 and 144 or low
      high = lead == 244 and 143 or high
    else
      return false
    end
    for place = at + 1, at + more do
      local continuation = byte(text, place)
      if not continuation or continuation < low or continuation > high then
        return false
      end
      low, high = 128, 191
    end
    at = at + more + 1
  end
  return true
end

local function exceeds(digits, largest)
  if #digits ~= #largest then
    return #digits > #largest
  end
  return digits > largest
end

local function integer(text, kind, is_string)
  local limits = INTEGERS[kind]
  local sign, digits = match(text, "^(-?)(%d+)$")
  if digits then
    digits = match(digits, "^0*(.*)$")
    if exceeds(digits, sign == "-" and limits.below or limits.above) then
      return "is out of range"
    end
    return nil
  end
  -- As numbers, 1.0 and 1e2 are integers too.
  local number = not is_string and tonumber(text)
  if not number or number % 1 ~= 0 then
    return EXPECTED[kind]
  end
  return (number < limits.least or number > limits.most) and "is out of range" or nil
end

local function time(text)
  local year, month, day, hour, minute, second, rest =
    match(text, "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)(.*)$")
  if year then
    local fraction = match(rest, "^%.(%d+)")
    local zone = fraction and sub(rest, #fraction + 2) or rest
    local zone_hour, zone_minute = match(zone, "^[+-](%d%d):(%d%d)$")
    local days = DAYS[tonumber(month)] or 0
    if tonumber(month) == 2 and (year % 4 ~= 0 or (year % 100 == 0 and year % 400 ~= 0)) then
      days = 28
    end
    if year ~= "0000" and day ~= "00" and tonumber(day) <= days
      and hour < "24" and minute < "60" and second < "60"
      and #(fraction or "") <= NANOSECOND_DIGITS
      and (zone == "Z" or (zone_hour and zone_hour < "24" and zone_minute < "60")) then
      return nil
    end
  end
  return EXPECTED.time
end

-- A string or number of a field whose kind says more than that. The escapes of JSON have been
-- found correct; only those of ASCII can stand in what is checked here.
local function plain(text)
  if not find(text, "\\", 1, true) then
    return text
  end
  text = gsub(text, "\\u00([0-7]%x)", function(digits)
    return char(tonumber(digits, 16))
  end)
  return (gsub(text, "\\/", "/"))
end

-- What is wrong with a string or number as a value of the field. `text` is what stands between the
-- quotes of a string, or the number.
local function wrong(field, text, is_string)
  local kind = field.kind
  if INTEGERS[kind] then
    return integer(plain(text), kind, is_string)
  elseif kind == "enum" and not is_string then
    return integer(text, "int32", false)
  elseif kind == "enum" then
    return not field.values[plain(text)] and EXPECTED.enum or nil
  elseif kind == "time" then
    return time(is_string and plain(text) or "")
  elseif kind == "string" and is_string then
    return nil
  end
  return EXPECTED[kind]
end

local function unescaped(text)
  return (gsub(text, "%%(%x%x)", function(digits)
    return char(tonumber(digits, 16))
  end))
end

-- What is wrong with a value in a query, as it stands there.
local function wrong_in_query(field, text)
  text = unescaped(text)
  if not is_utf8(text, 1, #text) then
    return "is not UTF-8"
  elseif field.kind == "bool" then
    return text ~= "true" and text ~= "false" and EXPECTED.bool or nil
  elseif field.kind == "message" or field.map then
    return "cannot stand in a query; its fields can"
  elseif field.kind == "enum" and find(text, "^-?%d+$") then
    return wrong(field, text, false)
  end
  return wrong(field, text, true)
end

return { EXPECTED = EXPECTED, is_utf8 = is_utf8, wrong = wrong, wrong_in_query = wrong_in_query }
