greet() { local name=$1; echo "Hello, ${name:-nobody}!"; }
for name in Ada Bob; do greet "$name"; done
sum=0
for n in 1 2 3; do sum=$((sum + n)); done
case $sum in 6) echo six;; *) echo other;; esac
cat <<END
sum is $sum.
END
x=${sum%7}; echo "$x" "${#x}"
