-- What the scenario foreign/lua runs: reads orders as JSON, sums them up in several ways, and writes
-- the result as JSON again. Uses closures, metatables, coroutines, patterns, sorting and errors.

-- An error that means that memory ran out is nobody's to handle here.
local function try(work, ...)
  local ok, answer = pcall(work, ...)
  if not ok and answer == "not enough memory" then error(answer, 0) end
  return ok, answer
end

-- JSON

local escapes = { n = "\n", t = "\t", ["\\"] = "\\", ['"'] = '"', ["/"] = "/" }

local function decode(text)
  local at = 1
  local function fail(what) error(("%s at %d"):format(what, at), 0) end
  local function skip() at = text:find("%S", at) or #text + 1 end
  local function expect(sign)
    if text:sub(at, at) ~= sign then fail("expected " .. sign) end
    at = at + 1
  end
  local value
  local function string()
    expect('"')
    local parts = {}
    while true do
      local stop = text:find('["\\]', at) or fail("unclosed string")
      parts[#parts + 1] = text:sub(at, stop - 1)
      at = stop + 1
      if text:sub(stop, stop) == '"' then return table.concat(parts) end
      local kind = text:sub(at, at)
      if kind == "u" then
        parts[#parts + 1] = utf8.char(tonumber(text:sub(at + 1, at + 4), 16))
        at = at + 5
      else
        parts[#parts + 1] = escapes[kind] or fail("bad escape")
        at = at + 1
      end
    end
  end
  local function sequence(close, item)
    at = at + 1
    skip()
    if text:sub(at, at) == close then at = at + 1 return end
    while true do
      item()
      skip()
      if text:sub(at, at) == close then at = at + 1 return end
      expect(",")
      skip()
    end
  end
  function value()
    skip()
    local sign = text:sub(at, at)
    if sign == "{" then
      local object = {}
      sequence("}", function()
        local key = string()
        skip()
        expect(":")
        object[key] = value()
      end)
      return object
    elseif sign == "[" then
      local list = {}
      sequence("]", function() list[#list + 1] = value() end)
      return list
    elseif sign == '"' then
      return string()
    end
    local word = text:match("^[%w.+-]+", at) or fail("no value")
    at = at + #word
    if word == "true" then return true elseif word == "false" then return false end
    return math.tointeger(word) or tonumber(word) or fail("bad word")
  end
  return value()
end

local function encode(value, out)
  local kind = type(value)
  if kind == "table" and (#value > 0 or next(value) == nil) then
    out[#out + 1] = "["
    for nth, item in ipairs(value) do
      if nth > 1 then out[#out + 1] = "," end
      encode(item, out)
    end
    out[#out + 1] = "]"
  elseif kind == "table" then
    local keys = {}
    for key in pairs(value) do keys[#keys + 1] = key end
    table.sort(keys)
    out[#out + 1] = "{"
    for nth, key in ipairs(keys) do
      out[#out + 1] = ('%s%q:'):format(nth > 1 and "," or "", key)
      encode(value[key], out)
    end
    out[#out + 1] = "}"
  elseif kind == "string" then
    out[#out + 1] = '"' .. value:gsub('[\\"]', "\\%0"):gsub("\n", "\\n") .. '"'
  else
    out[#out + 1] = tostring(value)
  end
  return out
end

-- A class, by metatables

local Account = {}
Account.__index = Account
Account.__lt = function(a, b) return a.cents < b.cents or a.cents == b.cents and a.name < b.name end
Account.__tostring = function(a) return ("%-6s %8.2f"):format(a.name, a.cents / 100) end
Account.__close = function(a) a.closed = true end

function Account.new(name) return setmetatable({ name = name, cents = 0, orders = {} }, Account) end

function Account:book(order)
  for _, line in ipairs(order.lines) do self.cents = self.cents + line.pieces * line.cents end
  self.orders[#self.orders + 1] = order.number
end

-- The input

local function document()
  local orders = {}
  for number = 1, 14 do
    local lines = {}
    for line = 1, number % 4 + 1 do
      lines[line] = ('{"article":"A-%d-%d","pieces":%d,"cents":%d}'):format(
        number, line, line, 99 + number * 7 + line * 13)
    end
    orders[number] = ('{"number":%d,"customer":"customer \\u00e9%d","paid":%s,"lines":[%s]}'):format(
      number, number * number % 7, number % 3 == 0, table.concat(lines, ","))
  end
  return ('{"orders":[%s]}'):format(table.concat(orders, ",\n "))
end

-- The work

local function orders_of(list)
  return coroutine.wrap(function()
    for _, order in ipairs(list) do coroutine.yield(order) end
  end)
end

local accounts, by_name = {}, {}
for order in orders_of(decode(document()).orders) do
  local account = by_name[order.customer]
  if not account then
    account = Account.new(order.customer:match("%d+$"))
    by_name[order.customer] = account
    accounts[#accounts + 1] = account
  end
  account:book(order)
end
table.sort(accounts)

local lines = {}
for _, account in ipairs(accounts) do lines[#lines + 1] = tostring(account) end

-- What is no JSON is told with its place.
for _, bad in ipairs { '{"a":', '[1,,2]', '"open', '[nil]' } do
  local ok, why = try(decode, bad)
  lines[#lines + 1] = ("%s %s"):format(ok, why)
end

-- Rubbish for the collector, and things that it has to tell.
local weak = setmetatable({}, { __mode = "k" })
do
  local account <close> = Account.new("closed")
  for nth = 1, 40 do weak[{ nth }] = ("x"):rep(nth) end
  lines[#lines + 1] = tostring(account.closed)
end
collectgarbage()
lines[#lines + 1] = tostring(next(weak))

local again = table.concat(encode(decode(document()), {}))
lines[#lines + 1] = #again .. " " .. again:sub(1, 60)
local packed = string.pack("<i4 s2 z", 7, "seven", "sept")
lines[#lines + 1] = table.concat({ string.unpack("<i4 s2 z", packed) }, " ", 1, 3)
lines[#lines + 1] = select("#", table.unpack({}, 1, 50)) .. " " .. load("return 6 * 7")()
return table.concat(lines, "\n")
