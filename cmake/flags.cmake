# Warnings and hardening, on one INTERFACE target that everything links. Flags are probed, so
# that a compiler which lacks one still builds.
include(CheckCCompilerFlag)

add_library(bulkhead_flags INTERFACE)
target_include_directories(bulkhead_flags INTERFACE
	${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(bulkhead_flags INTERFACE _GNU_SOURCE
	BULKHEAD_VERSION="${PROJECT_VERSION}")
set(c_only "$<$<COMPILE_LANGUAGE:C>:")
target_compile_options(bulkhead_flags INTERFACE
	-Wall -Wextra -Werror -Wshadow -Wundef -Wformat=2 -Wvla -Wwrite-strings
	-Wimplicit-fallthrough -Wno-unused-parameter
	${c_only}-Wstrict-prototypes> ${c_only}-Wmissing-prototypes>
	${c_only}-Wold-style-definition> -fno-common -fno-strict-aliasing)

function(probe flag)
	string(MAKE_C_IDENTIFIER "has${flag}" var)
	check_c_compiler_flag("-Werror ${flag}" ${var})
	if(${var})
		target_compile_options(bulkhead_flags INTERFACE ${flag})
	endif()
endfunction()

if(BULKHEAD_SANITIZE)
	target_compile_options(bulkhead_flags INTERFACE -fsanitize=address,undefined
		-fno-sanitize-recover=all -fno-omit-frame-pointer)
	target_link_options(bulkhead_flags INTERFACE -fsanitize=address,undefined)
	target_compile_definitions(bulkhead_flags INTERFACE BULKHEAD_SANITIZE=1)
else()
	probe(-fstack-protector-strong)
	probe(-fstack-clash-protection)
	probe(-fcf-protection)
	probe(-ftrivial-auto-var-init=zero)
	probe(-fzero-call-used-regs=used-gpr)
	if(CMAKE_BUILD_TYPE STREQUAL "Release")
		target_compile_options(bulkhead_flags INTERFACE -U_FORTIFY_SOURCE)
		target_compile_definitions(bulkhead_flags INTERFACE _FORTIFY_SOURCE=2)
	endif()
	target_link_options(bulkhead_flags INTERFACE -Wl,-z,relro -Wl,-z,now
		-Wl,-z,noexecstack -Wl,--as-needed -Wl,-z,separate-code)
endif()
if(BULKHEAD_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "the fuzz preset needs clang (Debian: clang libclang-rt-14-dev)")
	endif()
	target_compile_options(bulkhead_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(BULKHEAD_COVERAGE)
	target_compile_options(bulkhead_flags INTERFACE --coverage -O0)
	target_link_options(bulkhead_flags INTERFACE --coverage)
endif()
# Asserts stay on in every build type: they guard invariants, not input.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
	string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
	string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_${type} "${CMAKE_CXX_FLAGS_${type}}")
endforeach()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g")
