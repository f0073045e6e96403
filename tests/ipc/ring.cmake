unit_test(ring_test SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_ring.c LIBS ring)
