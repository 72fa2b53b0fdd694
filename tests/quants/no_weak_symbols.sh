#!/bin/sh
# no_weak_symbols.sh NM ARCHIVE: fails if the object file of an instruction set in the archive defines a weak symbol.
# The linker keeps one of several, and must not keep one that this machine cannot run.
set -eu
nm=$1 archive=$2
for isa in avx2 avx512; do
  symbols=$("$nm" -C --defined-only "$archive" | sed -n "/^fit_groups_$isa.cc.o:/,/^\$/p")
  case $symbols in
    *GroupFits*) ;;
    *) echo "expected the table of fits of $isa in $archive, found none"; exit 1 ;;
  esac
  weak=$(echo "$symbols" | awk '/ [WwVvu] /')
  if [ -n "$weak" ]; then
    echo "weak symbols compiled for $isa that others could be linked to:"
    echo "$weak"
    exit 1
  fi
done
