BEGIN { FS = "," }
NR > 1 { worth[$1] = $2 * $3; sum += worth[$1] }
END { n = split("pen ink paper", names, " ")
  for (i = 1; i <= n; i++) printf "%s %.2f\n", toupper(names[i]), worth[names[i]]
  s = "total"; gsub(/t/, "T", s); print s, sum, match("abc", /c/) }
