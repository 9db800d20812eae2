proc square {n} { expr {$n * $n} }
set squares [lmap n {3 1 2} { square $n }]
puts "[lsort -integer $squares] [string toupper abc] [format %.3f 3.14159]"
puts [regsub -all {o} "foo boo" 0]
dict set prices pen 1.5; puts [dict get $prices pen]
