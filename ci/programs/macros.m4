define(`count', `ifelse($1, 0, done, `$1 count(eval($1 - 1))')')dnl
count(5)
translit(`hello', `a-z', `A-Z') len(`hello') substr(`hello', 1, 3)
