add_library(ring STATIC ${CMAKE_CURRENT_LIST_DIR}/ring.c)
target_link_libraries(ring PUBLIC base)
