#!/bin/sh
# no_shared_symbols.sh ISA ARCHIVE OBJECT...: fails if the object files of an instruction set, or its sign and group
# kernels in the archive, define a weak function that does not carry the set's name. Symbols that cannot be read fail too.
set -eu
isa=$1 archive=$2
shift 2
member=[a-z]*_kernels_$(echo "$isa" | tr '[:upper:]' '[:lower:]')

of_objects=$(nm -C --defined-only "$@")
of_archive=$(nm -C --defined-only "$archive")
of_members=$(echo "$of_archive" | sed -n "/^$member[a-z0-9]*\.cc\.o:/,/^\$/p")
for table in "MatrixProduct$isa|$of_objects" "kFloats$isa|$of_objects" "kExact$isa|$of_members"; do
  expected=${table%%|*}
  case ${table#*|} in
    *"$expected"*) ;;
    *) echo "expected the symbol $expected, found none: $archive, $*"; exit 1 ;;
  esac
done

found=$(printf '%s\n%s\n' "$of_objects" "$of_members" | awk -v own="Eigen$isa" '/ [Ww] / && !index($0, own)')
if [ -n "$found" ]; then
  echo "weak symbols compiled for $isa that others could be linked to:"
  echo "$found"
  exit 1
fi
