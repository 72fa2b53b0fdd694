#!/bin/sh
# no_shared_symbols.sh ISA OBJECT ARCHIVE: fails if the object file of an instruction set, or its kernels in the
# archive, define a weak function that does not carry the set's name. Symbols that cannot be read fail too.
set -eu
isa=$1 object=$2 archive=$3
member=kernels_$(echo "$isa" | tr '[:upper:]' '[:lower:]').cc.o

of_object=$(nm -C --defined-only "$object")
of_archive=$(nm -C --defined-only "$archive")
of_member=$(echo "$of_archive" | sed -n "/^$member:/,/^\$/p")
for table in "MatrixProduct$isa|$of_object" "k${isa}Kernels|$of_member"; do
  expected=${table%%|*}
  case ${table#*|} in
    *"$expected"*) ;;
    *) echo "expected the symbol $expected, found none: $object, $archive"; exit 1 ;;
  esac
done

found=$(printf '%s\n%s\n' "$of_object" "$of_member" | awk -v own="Eigen$isa" '/ [Ww] / && !index($0, own)')
if [ -n "$found" ]; then
  echo "weak symbols compiled for $isa that others could be linked to:"
  echo "$found"
  exit 1
fi
