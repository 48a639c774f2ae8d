/* Whether a connection with a low time to live works like an ordinary one. */

#include <stdlib.h>

#include "pathspider_plugin.h"

/* ---- The observer chain: the time to live of the first packet in each direction -------------------- */

struct hops {
    uint8_t forward, reverse; /* 0: none yet */
};

static void hops_packet(void *flow, const ps_packet *packet)
{
    struct hops *hops = flow;
    uint8_t *first = packet->reverse ? &hops->reverse : &hops->forward;
    /* An ICMP error is shown with the flow that it is about, and is some router's. */
    if (packet->icmp || *first != 0)
        return;
    *first = packet->version == 4 ? packet->ip[8] : packet->ip[7];
}

static void hops_finish(const void *flow, ps_fields *fields)
{
    const struct hops *hops = flow;
    if (hops->forward != 0)
        ps_say_uint(fields, "cexample_hops_fwd", hops->forward);
    if (hops->reverse != 0)
        ps_say_uint(fields, "cexample_hops_rev", hops->reverse);
}

static const ps_field hops_fields[] = {
    { "cexample_hops_fwd", PS_FIELD_UINT, "hops", "time to live of the originator's first packet" },
    { "cexample_hops_rev", PS_FIELD_UINT, "hops", "time to live of the other side's first packet; null if none came" },
    { 0 },
};

static const ps_chain own_chains[] = {
    { "cexample_hops", "time to live of the first packets", hops_fields, sizeof(struct hops), hops_packet,
      hops_finish },
    { 0 },
};

/* ---- The measurement -------------------------------------------------------------------------------- */

enum { ORDINARY, LOW };

static const ps_configuration configurations[] = { { "ordinary", PS_OPENING }, { "low ttl", PS_OPENING }, { 0 } };

static const ps_option options[] = {
    { "ttl", PS_INTEGER, "The time to live of B", 1, 255, 32, NULL },
    PS_OPTION_TIMEOUT,
    { 0 },
};

static const ps_condition conditions[] = {
    { "cexample", PS_CONNECTIVITY, NULL },
    { "cexample.hops:<hops>", PS_UNKNOWN, "the target's first packet in B came with this many hops left" },
    { 0 },
};

static const char *const chains[] = { "basic", "tcp", "cexample_hops", NULL };

struct run {
    uint64_t ttl;
    double timeout;
};

static void *start(const ps_options *options)
{
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        ps_fail("no memory");
        return NULL;
    }
    ps_uint(ps_option_value(options, "ttl"), &run->ttl);
    ps_number(ps_option_value(options, "timeout"), &run->timeout);
    return run;
}

static void stop(void *run)
{
    free(run);
}

static int make_connection(void *data, const ps_job *job, unsigned configuration, ps_connect *connect)
{
    const struct run *run = data;
    (void)job;
    ps_kind(connect, "tcp");
    ps_set_uint(connect, "timeout_ms", (uint64_t)(run->timeout * 1000));
    if (configuration == LOW)
        ps_set_uint(connect, "ttl", run->ttl);
    return 0;
}

/* The wire decides: without a packet that shows the setting, there is no verdict. */
static int as_meant(void *data, const ps_flow *flow)
{
    const struct run *run = data;
    uint64_t sent;
    if (!ps_flow_uint(flow, "cexample_hops_fwd", &sent))
        return PS_UNSEEN;
    return ps_flow_configuration(flow) != LOW || sent == run->ttl ? PS_YES : PS_NO;
}

static int combine(void *data, const ps_flows *flows, ps_conclusion *conclusion)
{
    uint64_t hops;
    const ps_flow *low = ps_flow_of(flows, LOW);
    (void)data;
    ps_compare(flows, conclusion, "cexample", LOW);
    if (low != NULL && ps_flow_uint(low, "cexample_hops_rev", &hops))
        ps_conclude(conclusion, "cexample.hops:%u", (unsigned)hops);
    return 0;
}

const ps_plugin pathspider_plugin = {
    .version = PS_VERSION,
    .name = "cexample",
    .release = "0.1.0",
    .description = "Example in C: a low time to live",
    .contact = "https://example.org/whom-to-ask",
    .port = 80,
    .options = options,
    .conditions = conditions,
    .configurations = configurations,
    .chains = chains,
    .own_chains = own_chains,
    .start = start,
    .stop = stop,
    .connect = make_connection,
    .as_meant = as_meant,
    .combine = combine,
};
