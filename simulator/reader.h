#ifndef SIMULATOR_READER_H
#define SIMULATOR_READER_H

#include "profile.h"

/* Reads and checks the file. NULL and a message "FILE:LINE: what is wrong" if it is invalid. */
struct profile *profile_load(const char *path, char *message, size_t size);

#endif
