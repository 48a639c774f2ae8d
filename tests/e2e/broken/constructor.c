/* A shared library whose constructor does what WAY says, before any host can look at it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* What the compiler cannot know to be nowhere. */
static int *volatile nowhere = (int *)16;

/* What processes that should be killed are called, to be found by. */
#ifndef NAME
#define NAME "broken"
#endif

/* The file that gets a line whenever the library is loaded. */
#ifndef COUNTED
#define COUNTED "/dev/null"
#endif

enum {
    ABORT, CRASH, HANG, EXIT, PRINT, ORPHAN, ORPHAN_AND_HANG, FORGE, CLOSE, FLOOD, REGROUP,
    TERMINAL, COUNT, REPORT
};

static const char *const FORGED =
    "{\"Answer\":{\"Ok\":{\"abi\":\"1.0\",\"measurements\":[],\"chains\":[]}}}\n"
    "\n\x1b[2Jforged  1.0.0  A plugin that is none  /forged.so\n";

/* Tells the lines of a file that begin so. */
static void report(const char *path, const char *start) {
    char line[256];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, start, strlen(start)) == 0)
            fprintf(stderr, "reported %s", line);
    if (file)
        fclose(file);
}

__attribute__((constructor)) static void start(void) {
    switch (WAY) {
    case ABORT:
        fputs("no \x1b[31mluck\n", stderr);
        abort();
    case CRASH:
        *nowhere = 1;
        break;
    case HANG:
        prctl(PR_SET_NAME, NAME);
        for (;;)
            pause();
    case EXIT:
        exit(0);
    case PRINT:
        fputs(FORGED, stdout);
        fflush(stdout);
        break;
    case ORPHAN:
    case ORPHAN_AND_HANG:
        /* A process that keeps all descriptors, in the same group and in one of its own. */
        switch (fork()) {
        case -1:
            abort();
        case 0:
            if (fork() == 0)
                setsid();
            prctl(PR_SET_NAME, NAME);
            sleep(600);
            _exit(0);
        }
        while (WAY == ORPHAN_AND_HANG)
            pause();
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
    case REGROUP:
        /* Out of the group that the host would kill. */
        setpgid(0, getpgid(getppid()));
        for (;;)
            pause();
    case TERMINAL: {
        int terminal = open("/dev/tty", O_WRONLY);
        if (terminal >= 0 && write(terminal, FORGED, strlen(FORGED)) < 0)
            _exit(1);
        break;
    }
    case COUNT: {
        FILE *file = fopen(COUNTED, "a");
        if (file)
            fputs("loaded\n", file), fclose(file);
        break;
    }
    case REPORT:
        report("/proc/self/status", "CapEff:");
        report("/proc/self/status", "CapPrm:");
        report("/proc/self/uid_map", "");
    }
}
