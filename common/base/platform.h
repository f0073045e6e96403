/* The platform of this build, in the names that images use (Go's GOOS and GOARCH). */
#ifndef BULKHEAD_BASE_PLATFORM_H
#define BULKHEAD_BASE_PLATFORM_H

#define PLATFORM_OS "linux"

#if defined(__x86_64__)
#define PLATFORM_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define PLATFORM_ARCHITECTURE "arm64"
#elif defined(__arm__)
#define PLATFORM_ARCHITECTURE "arm"
#elif defined(__i386__)
#define PLATFORM_ARCHITECTURE "386"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define PLATFORM_ARCHITECTURE "ppc64le"
#elif defined(__s390x__)
#define PLATFORM_ARCHITECTURE "s390x"
#elif defined(__riscv) && __riscv_xlen == 64
#define PLATFORM_ARCHITECTURE "riscv64"
#elif defined(__loongarch64)
#define PLATFORM_ARCHITECTURE "loong64"
#else
#error "name this architecture as Go does"
#endif

/* "" = no particular one. */
#if defined(__arm__)
#define PLATFORM_VARIANT "v7"
#else
#define PLATFORM_VARIANT ""
#endif

#endif
