/* A shared library whose constructor does what WAY says, before any host can look at it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the compiler cannot know to be nowhere. */
static int *volatile nowhere = (int *)16;

enum { ABORT, CRASH, HANG, EXIT, PRINT, ORPHAN, FORGE, CLOSE, FLOOD };

static const char *const FORGED =
    "{\"Answer\":{\"Ok\":{\"abi\":\"1.0\",\"measurements\":[],\"chains\":[]}}}\n"
    "\n\x1b[2Jforged  1.0.0  A plugin that is none  /forged.so\n";

__attribute__((constructor)) static void start(void) {
    switch (WAY) {
    case ABORT:
        fputs("no \x1b[31mluck\n", stderr);
        abort();
    case CRASH:
        *nowhere = 1;
        break;
    case HANG:
        for (;;)
            pause();
    case EXIT:
        exit(0);
    case PRINT:
        fputs(FORGED, stdout);
        fflush(stdout);
        break;
    case ORPHAN:
        /* A process that keeps all descriptors, in the same group and in one of its own. */
        if (fork() == 0) {
            if (fork() == 0)
                setsid();
            sleep(20);
            _exit(0);
        }
        break;
    case FORGE:
        for (int fd = 0; fd < 1024; fd++)
            if (write(fd, FORGED, strlen(FORGED)) < 0)
                continue;
        _exit(0);
    case CLOSE:
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
        break;
    case FLOOD:
        for (;;)
            if (write(1, FORGED, strlen(FORGED)) < 0)
                _exit(1);
    }
}
