# Language level, warnings and sanitizers: the one place that sets compile flags for every target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # the modules are linked into an executable and a shared module
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

add_library(llmq_compile_options INTERFACE)
target_compile_options(llmq_compile_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:SHELL:\
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wno-missing-field-initializers \
  -ffp-contract=off>")  # the same arithmetic on every machine, with and without FMA

if(LLMQ_ASAN_UBSAN)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:\
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer>")
  add_link_options(-fsanitize=address,undefined)
endif()

find_program(LLMQ_CCACHE ccache)
if(LLMQ_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LLMQ_CCACHE})
endif()
