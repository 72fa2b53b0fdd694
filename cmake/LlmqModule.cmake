# llmq_add_module(NAME SOURCES ... DEPENDS ...): one static library per folder of src/.
# llmq_add_test(NAME SOURCES ... DEPENDS ...):   one GoogleTest program per folder of tests/.
# Which module may include which is data in tests/layers/modules.txt, and a test reads it.

function(llmq_add_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(llmq_${name} STATIC ${ARG_SOURCES})
  target_include_directories(llmq_${name} PUBLIC
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(llmq_${name} PUBLIC ${ARG_DEPENDS} PRIVATE llmq_compile_options)
endfunction()

function(llmq_add_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} GTest::gtest_main llmq_compile_options)
  target_compile_definitions(${name} PRIVATE
    LLMQ_TEST_GOLDEN_DIR="${PROJECT_SOURCE_DIR}/tests/golden"
    LLMQ_TEST_MODEL_DIR="${PROJECT_SOURCE_DIR}/models")
  gtest_discover_tests(${name} NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endfunction()
