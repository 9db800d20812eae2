set terminal dumb 60 15
set title "sine"
f(x) = sin(x) * a
a = 2
plot [0:6] f(x) title "f", "-" using 1:2 title "points"
1 1
3 2
e
