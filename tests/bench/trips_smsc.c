/* An SMSC that is not the limit, and the client that shows it. One connection, nothing allocated.
 *
 *   trips_smsc serve KIND WINDOW WARM_UP_S SECONDS UNITS
 *   trips_smsc client PORT KIND WINDOW
 *
 * `serve` prints its port, takes one client, and begins once it is bound and a line has come on standard
 * input. Every submit_sm is answered at once. KIND:
 *
 *   submits  the client sends; the unit is a submit_sm.
 *   trips    WINDOW MOs are kept open; the unit is an MO with its deliver_sm_resp and its submit_sm.
 *   talks    WINDOW subscribers at once send `1029` and, after all parts of the question, `Y1029`; the
 *            unit is an MO as above, two a subscriber. At the end those who began are let finish.
 *
 * One that measures a client alone never sleeps: on a machine that is itself a guest, waking it costs
 * the client more than all else it does for a message (12 us of 80 for five trips), and its ceiling
 * is a third. Line, store and `talks` need both cores.
 *
 * It measures SECONDS after WARM_UP_S (or UNITS, if these are not 0) and prints one JSON object; `cpu_s`
 * and `memory_kb` are of the process whose id is the bind's system_type, before and after.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BIND_TRANSCEIVER = 0x09, SUBMIT_SM = 0x04, DELIVER_SM = 0x05, UNBIND = 0x06, ENQUIRE_LINK = 0x15 };
#define RESPONSE 0x80000000u
#define HEADER 16
#define LONGEST_PDU 4096
#define BUFFER (1 << 20)
#define SUBSCRIBERS 10000000u
#define FIRST_SUBSCRIBER 8613900000000ull
#define DRAIN_S 30.0

static const char SHORT_CODE[] = "12530019";
static const char QUESTION[] = /* the one of the codec's figures, UCS-2 */
    "\x30\x0a\x83\x09\x83\x89\x82\xb1\x30\x0b\x00\x32\x51\x43\x00\x2f\x67\x08\x00\x2c\x4f\x1a\x54\x58"
    "\x00\x31\x51\x43\x30\x02\x56\xde\x00\x59\x00\x31\x00\x30\x00\x32\x00\x39\x8b\xa2\x8d\x2d";

enum kind { SUBMITS, TRIPS, TALKS };

static int wire;
static uint8_t in[BUFFER], out[BUFFER];
static size_t have, ready;
static uint32_t sequence;

static void fail(const char *why)
{
    fprintf(stderr, "trips_smsc: %s\n", why);
    exit(1);
}

static double now_s(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static uint32_t number_at(const uint8_t *octets)
{
    uint32_t number;
    memcpy(&number, octets, 4);
    return ntohl(number);
}

/* ---- writing */

static void flush(void)
{
    for (size_t sent = 0; sent < ready;) {
        ssize_t count = send(wire, out + sent, ready - sent, MSG_NOSIGNAL);
        if (count <= 0)
            fail("the other side does not read");
        sent += count;
    }
    ready = 0;
}

static void put_number(uint8_t *where, uint32_t number)
{
    number = htonl(number);
    memcpy(where, &number, 4);
}

static void put_pdu(uint32_t command, uint32_t number, const void *body, size_t length)
{
    if (ready + HEADER + length > BUFFER)
        flush();
    uint8_t *at = out + ready;
    put_number(at, HEADER + length);
    put_number(at + 4, command);
    put_number(at + 8, 0);
    put_number(at + 12, number);
    memcpy(at + HEADER, body, length);
    ready += HEADER + length;
}

static uint8_t *put_address(uint8_t *at, int ton, const char *address)
{
    *at++ = ton;
    *at++ = 1; /* numbering plan: ISDN */
    size_t length = strlen(address) + 1;
    memcpy(at, address, length);
    return at + length;
}

/* The body that submit_sm and deliver_sm share. */
static void put_message(uint32_t command, uint32_t number, const char *from, const char *to, int coding,
                        const char *text, size_t length)
{
    uint8_t body[LONGEST_PDU], *at = body;
    *at++ = 0; /* service_type */
    at = put_address(at, from == SHORT_CODE ? 0 : 1, from);
    at = put_address(at, to == SHORT_CODE ? 0 : 1, to);
    const uint8_t rest[] = {0, 0, 0, 0, 0, command == SUBMIT_SM, 0, coding, 0, length};
    memcpy(at, rest, sizeof rest);
    at += sizeof rest;
    memcpy(at, text, length);
    put_pdu(command, number, body, at + length - body);
}

/* ---- reading */

struct pdu {
    uint32_t command, status, sequence;
    const uint8_t *body, *end;
};

static const uint8_t *after_string(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *nul = at < end ? memchr(at, 0, end - at) : NULL;
    if (!nul)
        fail("a string without an end");
    return nul + 1;
}

/* Reads once, and calls `take` for each PDU that is whole. 0: the other side has closed. */
static int read_pdus(void (*take)(const struct pdu *))
{
    ssize_t count = recv(wire, in + have, BUFFER - have, 0);
    if (count <= 0)
        return 0;
    have += count;
    size_t at = 0;
    while (have - at >= HEADER) {
        uint32_t length = number_at(in + at);
        if (length < HEADER || length > LONGEST_PDU)
            fail("a PDU of an impossible length");
        if (have - at < length)
            break;
        const uint8_t *from = in + at;
        struct pdu one = {number_at(from + 4), number_at(from + 8), number_at(from + 12), from + HEADER,
                          from + length};
        take(&one);
        at += length;
    }
    memmove(in, in + at, have - at);
    have -= at;
    return 1;
}

static enum kind kind_of(const char *word)
{
    if (!strcmp(word, "submits"))
        return SUBMITS;
    if (!strcmp(word, "trips"))
        return TRIPS;
    if (!strcmp(word, "talks"))
        return TALKS;
    fail("KIND is submits, trips or talks");
    return SUBMITS;
}

/* ---- the SMSC */

struct subscriber {
    uint8_t confirms, is_answered, parts, of;
};

static enum kind kind;
static uint32_t window, begun, ended, refused;
static uint64_t submits, responses, units;
static int is_bound, is_ending, client_pid;
static struct subscriber subscribers[SUBSCRIBERS];

static void deliver(uint32_t who)
{
    char number[24];
    snprintf(number, sizeof number, "%llu", FIRST_SUBSCRIBER + who % SUBSCRIBERS);
    int confirms = kind == TALKS && subscribers[who].confirms;
    uint32_t mine = kind == TALKS ? 2 * who + confirms + 1 : who + 1;
    put_message(DELIVER_SM, mine, number, SHORT_CODE, 0, confirms ? "Y1029" : "1029", confirms ? 5 : 4);
}

static void keep_open(void)
{
    while (kind != SUBMITS && !is_ending && begun - ended < window) {
        if (kind == TALKS && begun == SUBSCRIBERS)
            fail("no subscribers are left");
        deliver(begun++);
    }
}

static void go_on_with(uint32_t who)
{
    struct subscriber *one = &subscribers[who];
    if (!one->is_answered || !one->of || one->parts < one->of)
        return;
    units++;
    if (one->confirms) {
        one->is_answered = 0; /* whatever else is sent to him is no answer */
        ended++;
        return;
    }
    *one = (struct subscriber){.confirms = 1};
    deliver(who);
}

static void take_submit(const struct pdu *received)
{
    char id[16];
    put_pdu(SUBMIT_SM | RESPONSE, received->sequence, id, sprintf(id, "%08lx", (unsigned long)submits) + 1);
    submits++;
    if (kind != TALKS)
        return;
    const uint8_t *end = received->end, *at = after_string(received->body, end) + 2;
    at = after_string(at, end) + 2;
    uint64_t who = strtoull((const char *)at, NULL, 10) - FIRST_SUBSCRIBER;
    at = after_string(at, end);
    int has_header = *at & 0x40;
    at = after_string(after_string(at + 3, end), end) + 5; /* to the text */
    if (at + 5 > end || who >= begun)
        fail("a message to nobody");
    subscribers[who].of = has_header ? at[4] : 1;
    subscribers[who].parts++;
    go_on_with(who);
}

static void take_answer(const struct pdu *received)
{
    uint32_t number = received->sequence - 1;
    uint32_t who = kind == TALKS ? number / 2 : number;
    responses++;
    if (received->status) {
        refused++;
        responses--;
        deliver(who); /* as an SMSC does, though others wait */
    } else if (kind == TALKS && subscribers[who].confirms == number % 2) {
        subscribers[who].is_answered = 1;
        go_on_with(who);
    }
}

static void take_bind(const struct pdu *received)
{
    const uint8_t *type = after_string(after_string(received->body, received->end), received->end);
    after_string(type, received->end);
    client_pid = atoi((const char *)type);
    is_bound = 1;
    put_pdu(received->command | RESPONSE, received->sequence, "smsc", 5);
}

static void serve_pdu(const struct pdu *received)
{
    switch (received->command) {
    case SUBMIT_SM: take_submit(received); break;
    case DELIVER_SM | RESPONSE: take_answer(received); break;
    case BIND_TRANSCEIVER: take_bind(received); break;
    case ENQUIRE_LINK:
    case UNBIND: put_pdu(received->command | RESPONSE, received->sequence, "", 0); break;
    default: fail("a PDU that no client of an SMSC sends here");
    }
    if (kind == SUBMITS)
        units = submits;
    if (kind == TRIPS) {
        ended = responses < submits ? responses : submits;
        units = ended;
    }
}

struct use {
    double at_s, cpu_s;
    long memory_kb;
    uint64_t units;
};

static struct use use_now(void)
{
    struct use now = {.at_s = now_s(), .units = units};
    char path[64], line[1024] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", client_pid);
    FILE *file = client_pid ? fopen(path, "r") : NULL;
    if (file && fgets(line, sizeof line, file) && strrchr(line, ')')) {
        unsigned long user, system;
        long pages;
        sscanf(strrchr(line, ')') + 2, "%*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu "
               "%*s %*s %*s %*s %*s %*s %*s %*s %ld", &user, &system, &pages);
        now.cpu_s = (double)(user + system) / sysconf(_SC_CLK_TCK);
        now.memory_kb = pages * (sysconf(_SC_PAGESIZE) / 1024);
    }
    if (file)
        fclose(file);
    return now;
}

static void report(struct use from, struct use to)
{
    printf("{\"units\": %lu, \"seconds\": %.6f, \"refused\": %u, \"subscribers\": %u, \"cpu_s\": %.2f, "
           "\"memory_kb\": [%ld, %ld]}\n", (unsigned long)(to.units - from.units), to.at_s - from.at_s,
           refused, ended, to.cpu_s - from.cpu_s, from.memory_kb, to.memory_kb);
    fflush(stdout);
}

static int listen_and_accept(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, length) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&at, &length))
        fail("cannot listen");
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return accept(listener, NULL, NULL);
}

static void no_delay(void)
{
    int yes = 1;
    setsockopt(wire, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static void wait_for_go(void)
{
    struct pollfd both[2] = {{.fd = 0, .events = POLLIN}, {.fd = wire, .events = POLLIN}};
    int may_begin = 0;
    while (!is_bound || !may_begin) {
        poll(both, 2, -1);
        if (both[0].revents) {
            char line[64];
            may_begin = read(0, line, sizeof line) > 0;
            both[0].fd = -1;
        }
        if (both[1].revents && !read_pdus(serve_pdu))
            fail("the client has gone before it began");
        flush();
    }
}

static void serve(double warm_up_s, double seconds, uint64_t wanted)
{
    wire = listen_and_accept();
    no_delay();
    wait_for_go();
    double begin_at = now_s() + warm_up_s, end_at = begin_at + seconds;
    struct use from = {0}, to = {0};
    struct pollfd readable = {.fd = wire, .events = POLLIN};
    int patience_ms = kind == TALKS ? 10 : 0;
    for (;;) {
        double now = now_s();
        if (!from.at_s && now >= begin_at)
            from = use_now();
        if (from.at_s && !is_ending && (wanted ? units - from.units >= wanted : now >= end_at)) {
            to = use_now();
            is_ending = 1;
        }
        if (is_ending && (kind != TALKS || ended == begun || now > to.at_s + DRAIN_S))
            break;
        keep_open();
        flush();
        if (poll(&readable, 1, patience_ms) > 0 && !read_pdus(serve_pdu))
            fail("the client has gone");
    }
    flush();
    report(from, to);
    while (kind == TALKS && read_pdus(serve_pdu))
        flush(); /* until the line unbinds */
}

/* ---- the client */

static void send_question(uint32_t who)
{
    char number[24];
    snprintf(number, sizeof number, "%llu", FIRST_SUBSCRIBER + who % SUBSCRIBERS);
    put_message(SUBMIT_SM, ++sequence, SHORT_CODE, number, 8, QUESTION, sizeof QUESTION - 1);
}

static void answer_pdu(const struct pdu *received)
{
    if (received->command == DELIVER_SM) {
        put_pdu(DELIVER_SM | RESPONSE, received->sequence, "", 1);
        send_question(received->sequence);
    } else if (kind == SUBMITS && received->command == (SUBMIT_SM | RESPONSE)) {
        send_question(sequence);
    } else if (kind == SUBMITS && received->command == (BIND_TRANSCEIVER | RESPONSE)) {
        for (uint32_t open = 0; open < window; open++)
            send_question(sequence);
    }
}

static void be_client(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port)};
    char body[64];
    int length = snprintf(body, sizeof body, "bench%cbench%c%d%c\x34%c%c%c", 0, 0, getpid(), 0, 0, 0, 0);
    wire = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(wire, (struct sockaddr *)&to, sizeof to))
        fail("cannot connect");
    no_delay();
    put_pdu(BIND_TRANSCEIVER, ++sequence, body, length);
    do
        flush();
    while (read_pdus(answer_pdu));
}

int main(int count, char **words)
{
    if (count == 7 && !strcmp(words[1], "serve")) {
        kind = kind_of(words[2]);
        window = atoi(words[3]);
        serve(atof(words[4]), atof(words[5]), strtoull(words[6], NULL, 10));
    } else if (count == 5 && !strcmp(words[1], "client")) {
        kind = kind_of(words[3]);
        window = atoi(words[4]);
        be_client(atoi(words[2]));
    } else {
        fail("serve KIND WINDOW WARM_UP_S SECONDS UNITS, or client PORT KIND WINDOW");
    }
    return 0;
}
