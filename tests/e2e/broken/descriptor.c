/* Libraries with the symbol that hosts look for, which are no plugins that they can use. */
#include <stdint.h>

/* With ROOTLESS, only the tables are missing. */
enum { MAGIC = 1, SHORT, OTHER, ROOTLESS };

struct descriptor {
    char magic[16];
    uint32_t size, abi_major, abi_minor;
    const void *(*root)(void);
};

/* A plugin that cannot make its tables says so. */
static const void *none(void) { return 0; }

const struct descriptor pathspider_plugin_descriptor = {
    /* Somebody else's: a descriptor in form, and not of ours. */
    .magic = {'p', 'a', 't', 'h', 's', 'p', 'i', 'd', 'e', 'r', 'p', 'l', 'u', 'g', 'i',
              WAY == MAGIC ? 'x' : 'n'},
    /* Too short for what this version has. */
    .size = WAY == SHORT ? 28 : sizeof(struct descriptor),
    .abi_major = WAY == OTHER ? 3 : 2,
    .abi_minor = WAY == OTHER ? 7 : 0,
    .root = none,
};
