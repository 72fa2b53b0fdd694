# Which instruction sets get kernels of their own, and the flags of each. Code compiled with them may leave
# no symbol that code of another set could be linked to instead: tests/kernels looks at the object files.

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(LLMQ_ISAS Scalar Avx2 Avx512)
else()
  set(LLMQ_ISAS Scalar)
  # Part of every aarch64, so nothing is compiled more than once.
  string(REGEX MATCH "^(aarch64|arm64)$" LLMQ_NEON "${CMAKE_SYSTEM_PROCESSOR}")
endif()
# Optimised in every build: what is inlined leaves no symbol behind.
set(LLMQ_FLAGS_Scalar -O3)
set(LLMQ_FLAGS_Avx2 -O3 -mavx2 -mfma -mf16c)
# GCC 12 warns wrongly about its own _mm512_undefined_*.
set(LLMQ_FLAGS_Avx512 -O3 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
  -Wno-maybe-uninitialized -Wno-uninitialized)
