my %count; $count{lc $_}++ for "Pack my box with my five jugs" =~ /\w+/g;
print join(" ", map { "$_=$count{$_}" } sort keys %count), "\n";
printf "%.3f %s\n", atan2(1, 1) * 4, scalar reverse "stressed";
eval { die "seven\n" }; print "died: $@";
