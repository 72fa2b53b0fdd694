# nvcc for src/cuda, without a device: machine code for the oldest GPUs the kernels run on (sm_80) and for
# Hopper (sm_90), and PTX, which drivers compile for what comes later.

find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "LLMQ_CUDA: expected nvcc on the PATH or in /usr/local/cuda/bin, found none")
endif()
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
endif()
enable_language(CUDA)
# CMake 3.25 does not know that nvcc 13 can.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)  # which opens the driver when it is asked, so programs start without one
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
