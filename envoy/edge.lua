-- What Envoy's JSON transcoder leaves open: it drops unknown fields, takes any content type, reads
-- JSON leniently, and quotes what it refuses. Here a request is refused unless its body is exactly
-- what its type says.
--
-- The route says which type the body has (`message`), in the metadata of this filter. The modules
-- `kinds`, `json` and `answers` of envoy/lua stand before this text, and before them, from the
-- contracts, MESSAGES: for each type its fields, by both spellings.

local BODY_BYTES_MAX = 1048576
local FOUR = string.byte("4")

local byte, lower, sub = string.byte, string.lower, string.sub

for _, fields in pairs(MESSAGES) do
  for _, field in pairs(fields) do
    field.fields = field.message and MESSAGES[field.message]
    field.values = field.enum and ENUMS[field.enum]
  end
end

-- For the access log: the transcoder leaves nothing from which Envoy could tell.
local function note_code(handle, code)
  handle:streamInfo():dynamicMetadata():set("envoy.filters.http.lua", "grpc_status", code)
end

-- Answers instead of the service. Envoy ends the script here: what stands after a call of this is
-- not reached.
local function respond(handle, status, code, reason, message, metadata, detail, headers)
  headers = headers or {}
  headers[":status"] = status
  headers["content-type"] = "application/json"
  note_code(handle, code)
  handle:respond(headers, answers.status_json(code, reason, message, metadata, detail))
end

local function invalid(handle, status, message, metadata, headers)
  respond(handle, status, 3, "INVALID_REQUEST", message, metadata, nil, headers)
end

local function invalid_field(handle, what, field)
  local named = field == "" and "the body" or field
  respond(handle, "400", 3, "INVALID_REQUEST", "invalid request: " .. named .. ": " .. what,
    { fields = field }, answers.violation_json(field, what))
end

local function unsupported(handle, content_type)
  invalid(handle, "415", "this content type is not taken here",
    { content_type = json.shown(content_type) })
end

local function too_large(handle)
  invalid(handle, "413", "the body is larger than 1 MiB", { bytes_max = "1048576" })
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
  for name, value in query:gmatch("([^&=]+)=?([^&]*)") do
    local fields, field, path = MESSAGES[message], nil, ""
    for part in name:gmatch("[^.]+") do
      field = fields and fields[part]
      fields = field and field.fields
      path = path .. "." .. (field and field.name or "")
    end
    path = sub(path, 2)
    if not field or path_fields:find("," .. path .. ",", 1, true) then
      invalid_field(handle, "is not a field here", json.shown(name))
    elseif seen[path] and not field.list then
      invalid_field(handle, "is given twice", path)
    end
    seen[path] = true
    local wrong = kinds.wrong_in_query(field, value)
    if wrong then
      invalid_field(handle, wrong, path)
    end
  end
end

-- Refuses what needs no look at the body.
local function check_headers(handle, route, headers)
  local refused = route:get("refuse")
  if refused then
    respond(handle, refused, 12, "METHOD_UNKNOWN", "there is no such method", {}, nil,
      { allow = route:get("allow") })
  end
  -- These belong to gRPC; from a JSON client they would reach the service as if Envoy had set them.
  headers:remove("grpc-timeout")
  headers:remove("grpc-encoding")
  headers:remove("grpc-accept-encoding")
  local length = headers:get("content-length")
  if length and (tonumber(length) or 0) > BODY_BYTES_MAX then
    too_large(handle)
  end
  local takes = route:get("takes")
  if takes ~= "raw" then
    local content_type, coding = headers:get("content-type"), headers:get("content-encoding")
    if coding and lower(coding) ~= "identity" then
      invalid(handle, "415", "this content encoding is not taken here",
        { content_encoding = json.shown(coding) }, { ["accept-encoding"] = "identity" })
    elseif content_type and not is_json(content_type) then
      unsupported(handle, content_type)
    end
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
    local what, field = json.check(body:getBytes(0, size), MESSAGES[message], path_fields)
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
    respond(handle, "500", 13, "INTERNAL", "internal error", {})
  end
end

-- Gives every error a reason and the right status: the transcoder answers 400 for
-- FAILED_PRECONDITION. Returns its gRPC code.
local function correct(handle)
  local body = handle:body()
  local text = body and body:getBytes(0, body:length()) or ""
  local code = text:match('^{"code":(%d+),')
  if code == "9" then
    handle:headers():replace(":status", "412")
  end
  local bare = text:find('"details":%[%]}%s*$') and answers.BARE[code]
  if bare then
    code = bare[1]
    local told = answers.status_json(bare[1], bare[2], bare[3], {})
    handle:headers():replace("content-length", tostring(body:setBytes(told)))
  end
  return code
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local code = headers:get("grpc-status")
  headers:remove("grpc-status")
  headers:remove("grpc-message")
  headers:remove("grpc-encoding")
  headers:remove("grpc-accept-encoding")
  local stream_type = handle:metadata():get("stream_type")
  local status = headers:get(":status")
  if stream_type and status == "200" then
    headers:replace("content-type", stream_type)
  elseif byte(status) >= FOUR then
    code = correct(handle) or code
  end
  if code then
    note_code(handle, tonumber(code))
  end
end
