local words = {}
for word in ("pack my box with five dozen jugs"):gmatch("%a+") do words[#words + 1] = word:upper() end
table.sort(words)
print(table.concat(words, " "), #words, string.format("%.3f", math.pi))
print(select(2, pcall(function() error("seven", 0) end)))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end)
print(co(), co(), select("#", co()))
