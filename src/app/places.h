/* places: where the program's own files are, seen from the executable. */
#ifndef AUTOMAT_APP_PLACES_H
#define AUTOMAT_APP_PLACES_H

#include <stddef.h>

/* `given` when somebody said so, else the first place that is there, else NULL. */
const char *places_ui(const char *given, char *path, size_t path_bytes);
const char *places_openapi(const char *given_dir, char *path, size_t path_bytes);
/* "/.../automat"; NULL when it cannot be found out. */
const char *places_program(char *path, size_t path_bytes);

/* The window model that ships with the program; NULL: there is none. */
const char *places_model(const char *given, char *path, size_t path_bytes);

/* Folders of the language models and of the corpus; NULL: there is none. */
const char *places_models(const char *given, char *path, size_t path_bytes);
const char *places_corpus(const char *given, char *path, size_t path_bytes);

#endif
