/* What a measurement in C says of itself, implements, and may call.
 *
 * A plugin is one C file that defines `pathspider_plugin`, and is linked with libpathspider_c.a into a
 * shared library (see Makefile). README.md is the guide.
 *
 * Words:
 *
 * - Everything behind a pointer that the host gives is lent for the length of the call.
 * - Everything that the plugin gives in `pathspider_plugin` lives as long as the process.
 * - Texts are UTF-8 and end with a zero octet. Lists end with an element whose name is NULL.
 * - A function that fails says why with `ps_fail`, and gives what that gives. The failure of `start`
 *   ends the run; that of `connect`, `as_meant` and `combine` is the job's error; that of a chain's
 *   function is an error of the flow.
 */
#ifndef PATHSPIDER_PLUGIN_H
#define PATHSPIDER_PLUGIN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. The library refuses a plugin of another one. */
#define PS_VERSION 1

/* The host's own, which the functions below read. */
typedef struct ps_options ps_options;
typedef struct ps_value ps_value;
typedef struct ps_job ps_job;
typedef struct ps_connect ps_connect;
typedef struct ps_flow ps_flow;
typedef struct ps_flows ps_flows;
typedef struct ps_conclusion ps_conclusion;
typedef struct ps_fields ps_fields;

/* ---- What the plugin says of itself ------------------------------------------------------------ */

enum ps_option_kind {
    PS_FLAG,    /* given or not */
    PS_INTEGER, /* a whole number from `min` to `max`, or `standard` */
    PS_NUMBER,  /* the same with a fraction */
    PS_TEXT,    /* any text, or `text`, which may be NULL */
    PS_CHOICE   /* one of the words of `text`, which blanks separate; the first is the default */
};

/* An option of the command line. */
typedef struct ps_option {
    const char *name;
    enum ps_option_kind kind;
    const char *help;
    double min, max, standard;
    const char *text;
} ps_option;

/* The options --timeout and --connect, as the other measurements have them. */
#define PS_OPTION_TIMEOUT \
    { "timeout", PS_NUMBER, "How long one connection may take, in seconds", 0.01, 3600, 5, NULL }
#define PS_OPTION_CONNECT(kinds) { "connect", PS_CHOICE, "How to connect to each target", 0, 0, 0, kinds }

/* What a condition says of the path. */
enum ps_class {
    PS_GOOD,     /* the path carries it, or the target has it */
    PS_ABSENT,   /* the target has not got it, and the path is not to blame */
    PS_IMPAIRED, /* the path harmed it */
    PS_UNKNOWN,  /* neither: a value that was seen, or what has several reasons */
    /* Four conditions, which compare an experiment with the baseline: NAME.connectivity.works, .broken,
     * .offline and .transient. `meaning` says what works, or is NULL: they connected, and got a
     * response if they asked. `ps_compare` gives them. */
    PS_CONNECTIVITY
};

/* A condition that the plugin may conclude: its first word is the plugin's name. `<word>` in it stands
 * for any word, and `:<value>` at its end for any value. */
typedef struct ps_condition {
    const char *name;
    enum ps_class kind;
    const char *meaning;
} ps_condition;

/* Which packet carries what a configuration is about. */
enum ps_carrier {
    PS_OPENING, /* the first: the SYN, or the first datagram */
    PS_DATA     /* one with data, after the handshake */
};

/* A configuration. Its place in the list is its number; number 0 is the baseline. */
typedef struct ps_configuration {
    const char *name;
    enum ps_carrier carrier;
} ps_configuration;

/* What a field of a chain is, when it is not null. */
enum ps_field_kind { PS_FIELD_BOOL, PS_FIELD_UINT, PS_FIELD_FLOAT, PS_FIELD_TEXT };

/* A field of a chain of the plugin's own. `unit` may be NULL. */
typedef struct ps_field {
    const char *name;
    enum ps_field_kind kind;
    const char *unit;
    const char *meaning;
} ps_field;

/* A packet, as the capture has it: whole headers, and as much of the data as was captured. */
typedef struct ps_packet {
    int64_t time_ns;          /* since the epoch */
    const uint8_t *ip;        /* the IP header, with its options or extension headers */
    size_t ip_octets;
    const uint8_t *transport; /* the transport header with its options; none in a later fragment */
    size_t transport_octets;
    const uint8_t *payload;   /* what follows it */
    size_t payload_octets;
    uint32_t wire_octets;     /* of the whole IP packet */
    uint8_t version;          /* of IP: 4 or 6 */
    uint8_t protocol;         /* by its IANA number */
    bool reverse;             /* toward us */
    bool icmp;                /* an ICMP message: in a measurement, an error about a packet of the flow */
} ps_packet;

/* An observer chain: what it sees of each flow becomes fields. One thread calls its functions. */
typedef struct ps_chain {
    const char *name;
    const char *description;
    const ps_field *fields;
    /* Octets of what it remembers of a flow: 4096 at most, zeroed at its begin, aligned for any type. */
    size_t flow_octets;
    void (*packet)(void *flow, const ps_packet *packet);
    /* Says the fields; one that it does not say is null. */
    void (*finish)(const void *flow, ps_fields *fields);
} ps_chain;

enum {
    PS_FORGES = 1,     /* `connect` sends packets of its own making (`ps_add_packet`) */
    PS_BLOCKS = 2,     /* `connect` may wait: it is called on several threads */
    PS_TAKES_NAMES = 4 /* a target may have a name and no address */
};

/* What `as_meant` says: whether the capture shows that a flow was sent as its configuration demands. */
enum { PS_NO = 0, PS_YES = 1, PS_UNSEEN = 2 };

/* The plugin. */
typedef struct ps_plugin {
    uint32_t version; /* PS_VERSION */
    const char *name; /* on the command line, and the first word of each condition */
    const char *release;
    const char *description;
    const char *contact; /* whom to ask about it: a mail address or a URL */
    uint16_t port;       /* of targets that name none */
    uint32_t needs;      /* PS_FORGES and its like, joined by | */
    const ps_option *options;
    const ps_condition *conditions;
    const ps_configuration *configurations;
    const char *const *chains; /* whose fields it reads: the host's own, or `own_chains`; ends with NULL */
    const ps_chain *own_chains; /* eight at most */

    /* Makes what the plugin remembers of a run, for the functions below. May be NULL. */
    void *(*start)(const ps_options *options);
    /* Frees it. May be NULL. */
    void (*stop)(void *run);
    /* Says which connection to make: for each configuration of a job. Gives 0, or `ps_fail`. */
    int (*connect)(void *run, const ps_job *job, unsigned configuration, ps_connect *connect);
    /* Judges a flow that was seen: PS_YES, PS_NO or PS_UNSEEN, or `ps_fail`. */
    int (*as_meant)(void *run, const ps_flow *flow);
    /* Concludes from all connections of a job. Gives 0, or `ps_fail`. For flows that were not sent as
     * they were meant, the host adds pathspider.not_applied and pathspider.not_observed. */
    int (*combine)(void *run, const ps_flows *flows, ps_conclusion *conclusion);
} ps_plugin;

/* The one object that a plugin defines. */
extern const ps_plugin pathspider_plugin;

/* ---- Values ------------------------------------------------------------------------------------ */

/* Each reads a value, and gives whether it is one of that type. NULL is none. */
bool ps_bool(const ps_value *value, bool *read);
bool ps_uint(const ps_value *value, uint64_t *read);
bool ps_int(const ps_value *value, int64_t *read);
bool ps_number(const ps_value *value, double *read);
/* Copies a text with its zero octet; gives false where it does not fit. */
bool ps_text(const ps_value *value, char *buffer, size_t octets);
/* Elements of a list, 0 of anything else, and one of them, or NULL. */
size_t ps_count(const ps_value *value);
const ps_value *ps_item(const ps_value *value, size_t index);

/* ---- Options and jobs -------------------------------------------------------------------------- */

/* The value of an option. One that was not declared fails. */
const ps_value *ps_option_value(const ps_options *options, const char *name);

/* A key of the target's input line, or NULL. */
const ps_value *ps_job_key(const ps_job *job, const char *key);
/* The target's address, in network order: writes 4 or 16 octets, and gives their number. */
size_t ps_job_address(const ps_job *job, uint8_t octets[16]);
uint16_t ps_job_port(const ps_job *job);

/* ---- Connections: the kind once, then its settings by name (docs/plugins.md lists both) ---------- */

/* `tcp`, `http`, `https`, `dnstcp`, `dnsudp`, `quic`, `packets`; `done` for a connection that the plugin made,
 * and `skip` for none: these two have keys of an outcome instead of settings (`spdr_state`, `spdr_error`). */
void ps_kind(ps_connect *connect, const char *kind);
void ps_set_bool(ps_connect *connect, const char *setting, bool value);
void ps_set_uint(ps_connect *connect, const char *setting, uint64_t value);
void ps_set_text(ps_connect *connect, const char *setting, const char *value);
/* Adds a text to a setting that is a list (`alpn`), or a header to the HTTP request. */
void ps_add_text(ps_connect *connect, const char *setting, const char *value);
void ps_add_header(ps_connect *connect, const char *name, const char *value);
/* Adds an IP packet to those that `packets` sends as they are. Where its source address is unspecified
 * and its source port is 0, the host fills both in. */
void ps_add_packet(ps_connect *connect, const uint8_t *packet, size_t octets);
/* Fills in the checksums of an IPv4 or IPv6 packet without extension headers: the header's, and that of
 * TCP, UDP or ICMP. */
void ps_fill_checksums(uint8_t *packet, size_t octets);

/* ---- What became of the connections -------------------------------------------------------------- */

const ps_job *ps_flows_job(const ps_flows *flows);
/* The connection of a configuration. NULL where the capture does not show that it was sent as it was
 * meant, or that the baseline was. */
const ps_flow *ps_flow_of(const ps_flows *flows, unsigned configuration);

unsigned ps_flow_configuration(const ps_flow *flow);
/* Whether the path carried the connection. */
bool ps_flow_connected(const ps_flow *flow);
/* A field of a chain by its name, or NULL where it is null. A field that no chain of `chains` has fails. */
const ps_value *ps_flow_field(const ps_flow *flow, const char *field);
bool ps_flow_has(const ps_flow *flow, const char *field); /* whether it is true */
bool ps_flow_uint(const ps_flow *flow, const char *field, uint64_t *read);
/* A key of the connection's outcome (docs/records.md), or NULL. */
const ps_value *ps_flow_outcome(const ps_flow *flow, const char *key);

/* ---- Conclusions --------------------------------------------------------------------------------- */

/* Adds one of PS_CONNECTIVITY's conditions: whether the path carried the baseline and this
 * configuration. Adds nothing where one of them is not proven. */
void ps_compare(const ps_flows *flows, ps_conclusion *conclusion, const char *name, unsigned configuration);
/* The same by a measure of the plugin's own. */
void ps_compare_by(const ps_flows *flows, ps_conclusion *conclusion, const char *name,
                   unsigned configuration, bool baseline_worked, bool experiment_worked);
void ps_conclude_text(ps_conclusion *conclusion, const char *condition);

/* ---- Fields of a chain of one's own ---------------------------------------------------------------- */

void ps_say_bool(ps_fields *fields, const char *field, bool value);
void ps_say_uint(ps_fields *fields, const char *field, uint64_t value);
void ps_say_float(ps_fields *fields, const char *field, double value);
void ps_say_text(ps_fields *fields, const char *field, const char *value);

/* ---- Messages --------------------------------------------------------------------------------------- */

enum ps_level { PS_DEBUG, PS_INFO, PS_WARNING };
void ps_log_text(enum ps_level level, const char *message);
int ps_fail_text(const char *reason);

/* As printf: a text of 1023 octets at most. */
#define PS_FORMATTED(text, first) __attribute__((format(printf, text, first)))

#define PS_FORMAT(buffer, text) \
    do { \
        va_list arguments; \
        va_start(arguments, text); \
        vsnprintf(buffer, sizeof buffer, text, arguments); \
        va_end(arguments); \
    } while (0)

/* Adds a condition with its value: ps_conclude(conclusion, "mymeasure.hops:%u", hops). */
PS_FORMATTED(2, 3) static inline void ps_conclude(ps_conclusion *conclusion, const char *format, ...)
{
    char text[1024];
    PS_FORMAT(text, format);
    ps_conclude_text(conclusion, text);
}

/* Writes a message to the host's log, on standard error. */
PS_FORMATTED(2, 3) static inline void ps_log(enum ps_level level, const char *format, ...)
{
    char text[1024];
    PS_FORMAT(text, format);
    ps_log_text(level, text);
}

/* Says why a function fails: return ps_fail("no memory for %s", name). Gives -1. */
PS_FORMATTED(1, 2) static inline int ps_fail(const char *format, ...)
{
    char text[1024];
    PS_FORMAT(text, format);
    return ps_fail_text(text);
}

#ifdef __cplusplus
}
#endif

#endif
