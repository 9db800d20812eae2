#!/bin/bash -eu
# Builds every target, with the committed regressions as its seeds.
cd "$SRC/mallory"
cargo fuzz build -O
for file in fuzz/fuzz_targets/*.rs; do
    name="$(basename "$file" .rs)"
    # It needs a variable that names the bug.
    [ "$name" = planted ] && continue
    cp "fuzz/target/x86_64-unknown-linux-gnu/release/$name" "$OUT/"
    if [ -d "fuzz/regressions/$name" ]; then
        zip -qj "$OUT/${name}_seed_corpus.zip" "fuzz/regressions/$name"/*
    fi
done
# Impossible sizes are requested on purpose, and have to be refused.
printf '[asan]\nallocator_may_return_null=1\n' > "$OUT/ports.options"
# One kind of damage is a block that is never freed.
printf '[asan]\ndetect_leaks=0\n' > "$OUT/corruption.options"
