# Finds LibTorch 2.x and makes the target LlmqTorch::torch: libtorch_cpu and libc10, nothing else.
#
# LibTorch's own CMake package demands the CUDA toolkit when the library was built with CUDA, although
# compiling and linking against its CPU half needs none. So this looks for the files themselves:
#   1. below CMAKE_PREFIX_PATH (a LibTorch archive, or the torch folder of a Python environment);
#   2. where ${PROJECT_SOURCE_DIR}/.venv/bin/python, then python3, has its torch package.
# libtorch_cuda is never linked: src/compress/device.cc opens it when a CUDA driver is present.
# See docs/decisions/0002-libtorch.md.

function(_llmq_torch_from_python out)
  set(${out} "" PARENT_SCOPE)
  foreach(python IN ITEMS ${PROJECT_SOURCE_DIR}/.venv/bin/python python3)
    execute_process(
      COMMAND ${python} -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
      OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE status)
    if(status EQUAL 0 AND EXISTS "${found}/include/ATen/ATen.h")
      set(${out} "${found}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# The version as "2.11.0", or empty. Where it is written has moved over the releases.
function(_llmq_torch_version root out)
  set(${out} "" PARENT_SCOPE)
  foreach(header IN ITEMS torch/headeronly/version.h torch/version.h
                          torch/csrc/api/include/torch/version.h)
    if(EXISTS "${root}/include/${header}")
      file(READ "${root}/include/${header}" text)
      if(text MATCHES "TORCH_VERSION_MAJOR ([0-9]+).*TORCH_VERSION_MINOR ([0-9]+).*TORCH_VERSION_PATCH ([0-9]+)")
        set(${out} "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.${CMAKE_MATCH_3}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

find_path(LlmqTorch_INCLUDE_DIR ATen/ATen.h
  PATH_SUFFIXES include torch/include NO_CMAKE_SYSTEM_PATH NO_SYSTEM_ENVIRONMENT_PATH
  DOC "LibTorch's include folder")
if(NOT LlmqTorch_INCLUDE_DIR)
  _llmq_torch_from_python(_llmq_torch_root)
  if(_llmq_torch_root)
    set(LlmqTorch_INCLUDE_DIR "${_llmq_torch_root}/include" CACHE PATH "LibTorch's include folder" FORCE)
  endif()
endif()
if(LlmqTorch_INCLUDE_DIR)
  get_filename_component(_llmq_torch_root "${LlmqTorch_INCLUDE_DIR}" DIRECTORY)
  _llmq_torch_version("${_llmq_torch_root}" LlmqTorch_VERSION)
  set(LlmqTorch_LIBRARY_DIR "${_llmq_torch_root}/lib")
  find_library(LlmqTorch_CPU_LIBRARY torch_cpu PATHS "${LlmqTorch_LIBRARY_DIR}" NO_DEFAULT_PATH)
  find_library(LlmqTorch_C10_LIBRARY c10 PATHS "${LlmqTorch_LIBRARY_DIR}" NO_DEFAULT_PATH)
  if(LlmqTorch_VERSION AND LlmqTorch_VERSION VERSION_LESS 2.0)
    # Debian 12's 1.13 was tried: linalg_eigh aborts the program and its BLAS is the reference one.
    message(FATAL_ERROR "LibTorch: expected version 2.0 or later, found ${LlmqTorch_VERSION} in "
      "${_llmq_torch_root}. Install torch 2.x (scripts/setup) or name its folder in CMAKE_PREFIX_PATH, "
      "or build without the compressor: -DLLMQ_COMPRESSOR=OFF")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LlmqTorch
  REQUIRED_VARS LlmqTorch_CPU_LIBRARY LlmqTorch_C10_LIBRARY LlmqTorch_INCLUDE_DIR LlmqTorch_VERSION
  VERSION_VAR LlmqTorch_VERSION
  REASON_FAILURE_MESSAGE "Run scripts/setup, or name a LibTorch 2.x folder in CMAKE_PREFIX_PATH, or build \
without the compressor: -DLLMQ_COMPRESSOR=OFF")
mark_as_advanced(LlmqTorch_INCLUDE_DIR LlmqTorch_CPU_LIBRARY LlmqTorch_C10_LIBRARY)

if(LlmqTorch_FOUND AND NOT TARGET LlmqTorch::torch)
  add_library(LlmqTorch::torch INTERFACE IMPORTED)
  target_include_directories(LlmqTorch::torch SYSTEM INTERFACE
    ${LlmqTorch_INCLUDE_DIR} ${LlmqTorch_INCLUDE_DIR}/torch/csrc/api/include)
  target_link_libraries(LlmqTorch::torch INTERFACE ${LlmqTorch_CPU_LIBRARY} ${LlmqTorch_C10_LIBRARY})
  # LibTorch brings its own {fmt}, found before the system's; header-only, the two never meet at link time.
  target_compile_definitions(LlmqTorch::torch INTERFACE FMT_HEADER_ONLY=1)
  # Older archives exist in two ABIs of libstdc++; symbols of the newer one name std::__cxx11.
  file(STRINGS "${LlmqTorch_C10_LIBRARY}" _llmq_cxx11 REGEX "_ZN3c105ErrorC.*__cxx11" LIMIT_COUNT 1)
  if(NOT _llmq_cxx11)
    message(FATAL_ERROR "LibTorch in ${_llmq_torch_root}: expected the C++11 ABI, found the older one; "
      "take the archive marked cxx11-abi, or a wheel of torch 2.7 or later")
  endif()
endif()
