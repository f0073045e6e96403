# room(NAME SOURCES... LIBS...): one program a room, installed in libexec/bulkhead.
function(room name)
	cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
	add_executable(${name} ${ARG_SOURCES})
	target_link_libraries(${name} PRIVATE bulkhead_flags ${ARG_LIBS})
	install(TARGETS ${name} DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/bulkhead)
endfunction()

# unit_test(NAME SOURCES... LIBS...): one cmocka program, one ctest. Its binary is build/tests/NAME.
function(unit_test name)
	cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
	add_executable(${name} ${ARG_SOURCES})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	target_link_libraries(${name} PRIVATE bulkhead_flags ${ARG_LIBS} dep::cmocka)
	add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
endfunction()

# fuzz_target(NAME SOURCES... LIBS...): a libFuzzer program with the fuzz preset; in every other
# build the same file with tests/replay.c as its main, run over the corpus as a ctest.
function(fuzz_target name)
	cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;LIBS" ${ARGN})
	add_executable(${name} ${ARG_SOURCES})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
	target_link_libraries(${name} PRIVATE bulkhead_flags ${ARG_LIBS})
	if(BULKHEAD_FUZZ)
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
	else()
		target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/replay.c)
		add_test(NAME ${name} COMMAND ${name} ${ARG_CORPUS}
			WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
	endif()
endfunction()
