#ifndef AUTOMAT_TESTS_KIT_INT_H
#define AUTOMAT_TESTS_KIT_INT_H

void kit_files_clean(void);
void kit_guard_clean(void);

#endif
