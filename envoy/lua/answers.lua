-- Errors as the services' own look after the transcoder: a `google.rpc.Status` with an `ErrorInfo`.

local format, gsub, pairs = string.format, string.gsub, pairs

local function quoted(text)
  return '"' .. gsub(text, '["\\]', "\\%0") .. '"'
end

-- `metadata` is a table of texts; `detail` the JSON of a further detail, with a comma before it.
local function status_json(code, reason, message, metadata, detail)
  local entries = ""
  for name, value in pairs(metadata) do
    entries = entries .. (entries == "" and "" or ",") .. quoted(name) .. ":" .. quoted(value)
  end
  return format(
    '{"code":%d,"message":%s,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo",'
      .. '"reason":"ERROR_REASON_%s","domain":"croupier","metadata":{%s}}%s]}',
    code, quoted(message), reason, entries, detail or "")
end

local function violation_json(field, what)
  return format(
    ',{"@type":"type.googleapis.com/google.rpc.BadRequest",'
      .. '"fieldViolations":[{"field":%s,"description":%s,"reason":""}]}',
    quoted(field), quoted(what))
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

return { BARE = BARE, status_json = status_json, violation_json = violation_json }
