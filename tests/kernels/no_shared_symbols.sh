#!/bin/sh
# no_shared_symbols.sh ISA OBJECT ARCHIVE: fails if the object file of an instruction set, or its kernels in the
# archive, define a weak function that does not carry the set's name.
set -eu
isa=$1 object=$2 archive=$3
member=kernels_$(echo "$isa" | tr '[:upper:]' '[:lower:]').cc.o
found=$({ nm -C --defined-only "$object"; nm -C --defined-only "$archive" | sed -n "/^$member:/,/^\$/p"; } |
  grep -E ' [Ww] ' | grep -v "Eigen$isa" || true)
if [ -n "$found" ]; then
  echo "weak symbols compiled for $isa that others could be linked to:"
  echo "$found"
  exit 1
fi
