# Every src/ROOM/migrations/NNNN_what.sql becomes one row of store_migrations_all[], in the order of the numbers, which
# must be 1, 2, 3, ... without a gap.  A room's tables live in the room's own folder; the order is the program's.
file(GLOB migration_files CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/src/*/migrations/*.sql")
set(migrations_c "${CMAKE_BINARY_DIR}/generated/migrations.c")
add_custom_command(OUTPUT "${migrations_c}"
    COMMAND ${CMAKE_COMMAND} "-DOUT=${migrations_c}" "-DFILES=${migration_files}"
        -P "${CMAKE_SOURCE_DIR}/cmake/embed_migrations.cmake"
    DEPENDS ${migration_files} "${CMAKE_SOURCE_DIR}/cmake/embed_migrations.cmake" VERBATIM)
add_library(automat_migrations STATIC "${migrations_c}")
target_include_directories(automat_migrations PUBLIC "${CMAKE_SOURCE_DIR}/src")
