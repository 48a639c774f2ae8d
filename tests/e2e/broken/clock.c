/* A clock that is set, for the program that loads this before its other libraries: by as many hours
 * as the file says that CLOCK_STEP names, while it is there. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *path = getenv("CLOCK_STEP");
    FILE *file;
    int hours;
    if (result == 0 && clock == CLOCK_REALTIME && path && (file = fopen(path, "re"))) {
        if (fscanf(file, "%d", &hours) == 1)
            time->tv_sec += 3600 * hours;
        fclose(file);
    }
    return result;
}
