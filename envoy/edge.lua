-- What Envoy's JSON transcoder leaves open: it drops unknown fields, takes any content type, and
-- reads JSON leniently. Here a request is refused unless its body is exactly what its type says.
--
-- The route says which type the body has (`message`), in the metadata of this filter. MESSAGES
-- stands before this text and comes from the contracts: for each type the names of its fields, both
-- spellings, each as {name, type of its value if that is a message, whether it is a map}.

local BODY_BYTES_MAX = 1048576
local DEPTH_MAX = 32
local SHOWN_MAX = 64
-- Values and escapes in one body: no contract needs a tenth of it, and a worker that reads a body
-- serves nobody else meanwhile.
local STEPS_MAX = 20000

local byte, find, format, gsub, lower, sub =
  string.byte, string.find, string.format, string.gsub, string.lower, string.sub

-- Bytes that decide what comes next.
local QUOTE, COMMA, COLON, MINUS = 34, 44, 58, 45
local FOUR = byte("4")
local ARRAY, ARRAY_END, OBJECT, OBJECT_END = 91, 93, 123, 125

for _, fields in pairs(MESSAGES) do
  for _, field in pairs(fields) do
    field.fields = field.message and MESSAGES[field.message]
  end
end

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

local function read_string(text, at)
  local _, last = find(text, '^"[^"\\%z\1-\31]*"', at)
  if last then
    return last + 1
  end
  at = at + 1
  while true do
    _, last = find(text, '^[^"\\%z\1-\31]*', at)
    at = last + 1
    local next_byte = byte(text, at)
    if next_byte == QUOTE then
      return at + 1
    elseif too_many_steps() then
      return refuse("holds too much")
    elseif find(text, '^\\["\\/bfnrt]', at) then
      at = at + 2
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

local function read_array(text, at, fields, depth)
  at = skip_space(text, at + 1)
  if byte(text, at) == ARRAY_END then
    return at + 1
  end
  while true do
    at = read_value(text, at, fields, depth)
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

-- `fields` are those of the object's type; false where any key will do, and then `values` are the
-- fields of each value, or false again.
local function read_object(text, at, fields, depth, values)
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
    local name, below, is_map = key, values or false, false
    if fields then
      local field = fields[key]
      if not field then
        refuse("is not a field here")
        return inside(shown(key))
      end
      name, below, is_map = field.name, field.fields or false, field.map
    end
    if seen[name] or (depth == 1 and find(bound, "," .. name .. ",", 1, true)) then
      refuse("is given twice")
      return inside(shown(name))
    end
    seen[name] = true
    if is_map and byte(text, value_at) == OBJECT then
      at = read_object(text, value_at, false, depth + 1, below)
    else
      at = read_value(text, value_at, below, depth)
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

read_value = function(text, at, fields, depth)
  if depth > DEPTH_MAX then
    return refuse("is nested too deep")
  elseif too_many_steps() then
    return refuse("holds too much")
  end
  local first = byte(text, at)
  if first == QUOTE then
    return read_string(text, at)
  elseif first == OBJECT then
    return read_object(text, at, fields, depth + 1)
  elseif first == ARRAY then
    return read_array(text, at, fields, depth + 1)
  elseif first == MINUS or (first and first >= 48 and first <= 57) then
    return read_number(text, at)
  end
  local _, last = find(text, "^true", at)
  if not last then
    _, last = find(text, "^false", at)
  end
  if not last then
    _, last = find(text, "^null", at)
  end
  if not last then
    return refuse("is not valid JSON")
  end
  return last + 1
end

-- Returns why the body is not what its type says, and where; nil if it is.
local function check(text, message, path_fields)
  problem, place, bound, steps = nil, "", path_fields, 0
  local at = skip_space(text, 1)
  if at > #text then
    return nil -- no body is an empty message
  end
  if byte(text, at) ~= OBJECT then
    return "is not a JSON object", ""
  end
  at = read_object(text, at, MESSAGES[message], 1, false)
  if at and skip_space(text, at) <= #text then
    refuse("is not valid JSON: something follows the object")
  end
  return problem, place
end

local function quoted(text)
  return '"' .. gsub(text, '["\\]', "\\%0") .. '"'
end

-- A `google.rpc.Status`, as the services' own errors look after the transcoder.
local function status_json(code, reason, message, metadata, detail)
  return format(
    '{"code":%d,"message":%s,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",'
      .. '"reason":"ERROR_REASON_%s","domain":"croupier","metadata":{%s}}%s]}',
    code, quoted(message), reason, metadata, detail or "")
end

-- Answers instead of the service. Envoy ends the script here: what stands after a call of this is
-- not reached.
local function respond(handle, status, code, reason, message, metadata, detail, allow)
  local headers = { [":status"] = status, ["content-type"] = "application/json", allow = allow }
  handle:respond(headers, status_json(code, reason, message, metadata, detail))
end

local function invalid(handle, status, message, name, value)
  respond(handle, status, 3, "INVALID_REQUEST", message, format("%s:%s", quoted(name), quoted(value)))
end

local function invalid_field(handle, what, field)
  local named = field == "" and "the body" or field
  respond(handle, "400", 3, "INVALID_REQUEST", "invalid request: " .. named .. ": " .. what,
    '"fields":' .. quoted(field),
    format(
      ',{"@type":"type.googleapis.com/google.rpc.BadRequest",'
        .. '"fieldViolations":[{"field":%s,"description":%s,"reason":""}]}',
      quoted(field), quoted(what)))
end

local function unsupported(handle, content_type)
  invalid(handle, "415", "this content type is not taken here", "content_type", shown(content_type))
end

local function too_large(handle)
  invalid(handle, "413", "the body is larger than 1 MiB", "bytes_max", "1048576")
end

local function is_json(content_type)
  local kind, rest = lower(content_type):match("^%s*([^;%s]+)%s*(.*)$")
  return kind == "application/json"
    and (rest == "" or rest:match('^;%s*charset="?utf%-8"?%s*$') ~= nil)
end

-- Refuses a query that is not what the type says. A field of the path is none of the query: the
-- transcoder would let the query overrule the path.
local function check_query(handle, query, message, path_fields)
  local seen = {}
  for name in query:gmatch("([^&=]+)=?[^&]*") do
    local fields, field, path = MESSAGES[message], nil, ""
    for part in name:gmatch("[^.]+") do
      field = fields and fields[part]
      fields = field and field.fields
      path = path .. "." .. (field and field.name or "")
    end
    if not field or path_fields:find("," .. sub(path, 2) .. ",", 1, true) then
      invalid_field(handle, "is not a field here", shown(name))
    elseif seen[path] and not field.list then
      invalid_field(handle, "is given twice", sub(path, 2))
    end
    seen[path] = true
  end
end

-- Refuses what needs no look at the body.
local function check_headers(handle, route, headers)
  local refused = route:get("refuse")
  if refused then
    respond(handle, refused, 12, "METHOD_UNKNOWN", "there is no such method", "", "",
      route:get("allow"))
  end
  -- These belong to gRPC; from a JSON client they would reach the service as if Envoy had set them.
  headers:remove("grpc-timeout")
  headers:remove("grpc-encoding")
  headers:remove("grpc-accept-encoding")
  local length = headers:get("content-length")
  if length and (tonumber(length) or 0) > BODY_BYTES_MAX then
    too_large(handle)
  end
  local content_type, takes = headers:get("content-type"), route:get("takes")
  if content_type and takes ~= "raw" and not is_json(content_type) then
    unsupported(handle, content_type)
  end
  local query = headers:get(":path"):match("%?(.*)$")
  if query and takes == "query" then
    check_query(handle, query, route:get("message"), route:get("path_fields"))
  elseif query then
    invalid_field(handle, "this path takes no query", "")
  end
end

local function on_request(handle)
  local route, headers = handle:metadata(), handle:headers()
  check_headers(handle, route, headers)
  local takes, message = route:get("takes"), route:get("message")
  local path_fields = route:get("path_fields")
  local content_type = headers:get("content-type")
  if takes == "raw" then
    return
  end
  -- Envoy goes on with other requests until the body is here; `route` and `headers` end with that.
  local body = handle:body()
  local size = body and body:length() or 0
  if size == 0 then
    return
  elseif size > BODY_BYTES_MAX then
    too_large(handle)
  elseif takes == "query" then
    invalid_field(handle, "this path takes none", "")
  elseif not content_type then
    unsupported(handle, "")
  else
    local what, field = check(body:getBytes(0, size), message, path_fields)
    if what then
      invalid_field(handle, what, field)
    end
  end
end

function envoy_on_request(handle)
  local done, mistake = pcall(on_request, handle)
  if not done then
    -- Envoy would log the mistake and let the request pass unchecked.
    handle:logErr(mistake)
    respond(handle, "500", 13, "INTERNAL", "internal error", "")
  end
end

-- What a server of gRPC says by itself, without our reasons and maybe with an exception's text.
local BARE = {
  ["2"] = { 13, "INTERNAL", "internal error" },
  ["4"] = { 4, "DEADLINE_EXCEEDED", "the deadline has passed; repeat a mutation with the same id" },
  ["8"] = { 8, "OVERLOADED", "the server is overloaded; try again later" },
  ["12"] = { 12, "METHOD_UNKNOWN", "there is no such method" },
  ["13"] = { 13, "INTERNAL", "internal error" },
  ["14"] = { 14, "UNAVAILABLE", "a service is not available; repeat a mutation with the same id" },
}

-- Gives every error a reason and the right status: the transcoder answers 400 for
-- FAILED_PRECONDITION, and where a value has the wrong type it names the field in the message only.
local function correct(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ""
  local code = text:match('^{"code":(%d+),')
  if code == "9" then
    handle:headers():replace(":status", "412")
  end
  local bare = text:find('"details":%[%]}%s*$') and BARE[code]
  local field = text:match('"message":"invalid request: ([%w_.]+): invalid value')
  if bare then
    text = status_json(bare[1], bare[2], bare[3], "")
  elseif field then
    text = gsub(text, '"metadata":{"fields":""}', '"metadata":{"fields":"' .. field .. '"}', 1)
  else
    return
  end
  handle:headers():replace("content-length", tostring(body:setBytes(text)))
end

function envoy_on_response(handle)
  local headers = handle:headers()
  headers:remove("grpc-status")
  headers:remove("grpc-message")
  headers:remove("grpc-encoding")
  headers:remove("grpc-accept-encoding")
  local stream_type = handle:metadata():get("stream_type")
  local status = headers:get(":status")
  if stream_type and status == "200" then
    headers:replace("content-type", stream_type)
  elseif byte(status) >= FOUR then
    correct(handle)
  end
end
