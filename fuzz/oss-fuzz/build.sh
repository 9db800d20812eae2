#!/bin/bash -eu
# Builds every target, by the script that ClusterFuzzLite uses as well.
exec "$SRC/mallory/.clusterfuzzlite/build.sh"
