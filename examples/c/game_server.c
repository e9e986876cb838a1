/* A game server in C: two players hold up a hand, and the maze tells them where to go. Written from docs/wire.md.
 *
 *   make && ./game_server [host [port [ticks]]] */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire.h"

enum { PLAYERS = 2, TICK_MS = 33, TRIES = 3, MAX_LAG = 10000, GUARD_MS = 250, REFUSED_MS = 1000 };
enum { SILENCE_MS = 3000, FIRST_PAUSE_MS = 50, MAX_PAUSE_MS = 1000, MAX_PARTITIONS = 1024 };

static const char *host = "127.0.0.1";
static int port = 6379;
static unsigned partitions;
static int compact;
static redisContext *commands, *replies;

static struct player {
    const char *session, *gesture;
    struct frame frame;
    int64_t last_seq_answered;
    int answered;
} players[PLAYERS] = {{"c-1", "like", {0}, -1, 0}, {"c-2", "four", {0}, -1, 0}};

static struct {
    int64_t lag, read_ms;
} guard[MAX_PARTITIONS];

/* --- clocks and connections */

static int64_t clock_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int64_t steady_ms(void) { return clock_ms(CLOCK_MONOTONIC); }

static void pause_before(int attempt) {
    int64_t ms = FIRST_PAUSE_MS << (attempt > 5 ? 5 : attempt);
    if (ms > MAX_PAUSE_MS) ms = MAX_PAUSE_MS;
    ms = ms * (50 + rand() % 101) / 100;
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void die(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(2);
}

static redisContext *opened(redisContext *old) {
    if (old) redisFree(old);
    struct timeval timeout = {1, 0};
    redisContext *context = redisConnectWithTimeout(host, port, timeout);
    if (!context) die("no memory");
    if (!context->err) redisSetTimeout(context, timeout);
    return context;
}

static int begins(const char *text, const char *code) { return strncmp(text, code, strlen(code)) == 0; }

static int is_any(const char *text, const char *const *codes) {
    for (; *codes; codes++)
        if (begins(text, *codes)) return 1;
    return 0;
}

static const char *const MOVED_AWAY[] = {"READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "UNBLOCKED", NULL};
static const char *const MOMENTARY[] = {"NOREPLICAS", "MISCONF", "BUSY", "TRYAGAIN", NULL};

/* --- topology */

static int read_topology(void) {
    redisReply *found = redisCommand(commands, "HMGET {maze}:topology version partitions compact");
    if (!found) return 0;
    if (found->type == REDIS_REPLY_ERROR && !is_any(found->str, MOVED_AWAY) && !is_any(found->str, MOMENTARY))
        die("HMGET {maze}:topology is refused: %s", found->str);
    int known = found->type == REDIS_REPLY_ARRAY && found->elements == 3 && found->element[0]->str && found->element[1]->str;
    if (known) {
        long count = strtol(found->element[1]->str, NULL, 10);
        if (strcmp(found->element[0]->str, "1")) die("the pool speaks version %s of the wire", found->element[0]->str);
        if (count < 1 || count > MAX_PARTITIONS || count & (count - 1)) die("%ld partitions are no power of two", count);
        if (partitions && partitions != count) die("the pool has %ld partitions now, it had %u", count, partitions);
        partitions = (unsigned)count;
        compact = found->element[2]->str && !strcmp(found->element[2]->str, "1");
    }
    freeReplyObject(found);
    return known;
}

static void join_pool(void) {
    for (int attempt = 0; commands = opened(commands), commands->err || !read_topology(); attempt++) {
        if (attempt % 20 == 5) fprintf(stderr, "waiting for a pool at %s:%d\n", host, port);
        pause_before(attempt);
    }
}

/* --- replies */

static void subscribe(void) {
    for (int attempt = 0;; attempt++) {
        replies = opened(replies);
        int confirmed = 0;
        for (int i = 0; i < PLAYERS && !replies->err; i++) {
            unsigned p = partition_of(players[i].session, partitions);
            redisReply *answer = redisCommand(replies, "SUBSCRIBE actions:{%u}:%s", p, players[i].session);
            if (answer && answer->type == REDIS_REPLY_ERROR) die("SUBSCRIBE is refused: %s", answer->str);
            confirmed += answer != NULL;
            if (answer) freeReplyObject(answer);
        }
        if (confirmed == PLAYERS) return;
        pause_before(attempt);
    }
}

/* The value of a key of a flat JSON object, without quotes; "null" is the text null. */
static const char *json_value(const char *json, const char *key, char *value, size_t size) {
    char name[32];
    snprintf(name, sizeof name, "\"%s\":", key);
    const char *at = strstr(json, name);
    *value = '\0';
    if (!at) return value;
    at += strlen(name);
    if (*at == '"') at++;
    snprintf(value, size, "%.*s", (int)strcspn(at, "\",}"), at);
    return value;
}

static void take_reply(const char *json) {
    char session[80], seq[24], gesture[40], confidence[16], action[16], move[16];
    json_value(json, "session", session, sizeof session);
    int64_t number = strtoll(json_value(json, "seq", seq, sizeof seq), NULL, 10);
    for (int i = 0; i < PLAYERS; i++) {
        if (strcmp(players[i].session, session) || number <= players[i].last_seq_answered) continue;
        players[i].last_seq_answered = number;
        players[i].answered++;
        printf("%s #%s: %s (%s), action %s, move %s\n", session, seq, json_value(json, "gesture", gesture, sizeof gesture),
               json_value(json, "confidence", confidence, sizeof confidence), json_value(json, "action", action, sizeof action),
               json_value(json, "move", move, sizeof move));
    }
}

/* Takes replies until `end_ms` on the steady clock. */
static void listen_until(int64_t end_ms) {
    static int64_t heard_ms, asked;
    if (!heard_ms) heard_ms = steady_ms();
    for (int64_t now; (now = steady_ms()) < end_ms;) {
        struct pollfd readable = {replies->fd, POLLIN, 0};
        redisReply *message = NULL;
        int lost = 0;
        if (poll(&readable, 1, (int)(end_ms - now)) > 0) {
            lost = redisBufferRead(replies) != REDIS_OK;
            while (!lost && (lost = redisGetReplyFromReader(replies, (void **)&message) != REDIS_OK, !lost && message)) {
                if (message->type == REDIS_REPLY_ARRAY && message->elements == 3 && !strcmp(message->element[0]->str, "message"))
                    take_reply(message->element[2]->str);
                freeReplyObject(message);
                message = NULL;
            }
            heard_ms = steady_ms(), asked = 0;
        } else if (steady_ms() - heard_ms > SILENCE_MS) {
            int done = 0;
            lost = asked++;
            heard_ms = steady_ms();
            if (!lost && redisAppendCommand(replies, "PING") == REDIS_OK)
                while (!done && !lost) lost = redisBufferWrite(replies, &done) != REDIS_OK;
        }
        if (lost) {
            fprintf(stderr, "subscription lost, connecting again\n");
            subscribe();
            heard_ms = steady_ms(), asked = 0;
        }
    }
}

/* --- sending */

static void append_add(unsigned p, const struct entry *entry) {
    char key[32];
    snprintf(key, sizeof key, "frames:{%u}", p);
    const char *words[] = {"XADD", key, "*", "s", (char *)entry->s, "m", (char *)entry->m, entry->landmarks_name,
                           (char *)entry->landmarks};
    size_t sizes[] = {4, strlen(key), 1, 1, entry->s_len, 1, entry->m_len, 1, entry->landmarks_len};
    redisAppendCommandArgv(commands, 9, words, sizes);
}

static int64_t lag_of(const redisReply *groups, const redisReply *length) {
    for (size_t i = 0; groups->type == REDIS_REPLY_ARRAY && i < groups->elements; i++) {
        const redisReply *group = groups->element[i];
        int ours = 0;
        for (size_t at = 0; at + 1 < group->elements; at += 2) {
            const redisReply *name = group->element[at], *value = group->element[at + 1];
            if (!strcmp(name->str, "name")) ours = value->str && !strcmp(value->str, "maze");
            if (ours && !strcmp(name->str, "lag") && value->type == REDIS_REPLY_INTEGER) return value->integer;
        }
    }
    return length->type == REDIS_REPLY_INTEGER ? length->integer : 0;
}

enum fate { ACCEPTED, PRESSURE, REFUSED, AWAY, LOST };

/* One round trip: the entry, and the partition's lag where the last reading is old. */
static enum fate add_once(unsigned p, const struct entry *entry) {
    int look = steady_ms() - guard[p].read_ms > GUARD_MS;
    append_add(p, entry);
    if (look) {
        redisAppendCommand(commands, "XINFO GROUPS frames:{%u}", p);
        redisAppendCommand(commands, "XLEN frames:{%u}", p);
    }
    redisReply *answers[3] = {0};
    for (int i = 0; i < (look ? 3 : 1); i++)
        if (redisGetReply(commands, (void **)&answers[i]) != REDIS_OK) {
            for (int j = 0; j < i; j++) freeReplyObject(answers[j]);
            return LOST;
        }
    enum fate fate = ACCEPTED;
    if (answers[0]->type == REDIS_REPLY_ERROR) {
        const char *why = answers[0]->str;
        if (begins(why, "OOM")) fate = PRESSURE;
        else if (is_any(why, MOVED_AWAY)) fate = AWAY;
        else if (is_any(why, MOMENTARY)) fate = REFUSED;
        else die("XADD frames:{%u} is refused: %s", p, why);
    }
    if (look) {
        guard[p].lag = lag_of(answers[1], answers[2]);
        guard[p].read_ms = steady_ms();
    }
    for (int i = 0; i < 3; i++)
        if (answers[i]) freeReplyObject(answers[i]);
    return fate;
}

static int look_again(unsigned p) {
    redisReply *groups = redisCommand(commands, "XINFO GROUPS frames:{%u}", p);
    redisReply *length = groups ? redisCommand(commands, "XLEN frames:{%u}", p) : NULL;
    if (length) guard[p].lag = lag_of(groups, length), guard[p].read_ms = steady_ms();
    if (groups) freeReplyObject(groups);
    if (length) freeReplyObject(length);
    return length != NULL;
}

/* Sends until accepted, or tells why not. Returns whether the frames were accepted. */
static int send_entry(unsigned p, const struct entry *entry) {
    if (guard[p].lag > MAX_LAG && steady_ms() - guard[p].read_ms > GUARD_MS && !look_again(p)) join_pool();
    if (guard[p].lag > MAX_LAG) {
        fprintf(stderr, "partition %u is %" PRId64 " entries behind: frames dropped\n", p, guard[p].lag);
        return 0;
    }
    int64_t begin_ms = steady_ms();
    for (int tries = 1;; tries++) {
        enum fate fate = add_once(p, entry);
        if (fate == ACCEPTED) return 1;
        if (fate == PRESSURE) {
            fprintf(stderr, "Redis is out of memory: frames dropped\n");
            return 0;
        }
        if (fate == LOST ? tries > TRIES : steady_ms() - begin_ms > REFUSED_MS) {
            fprintf(stderr, fate == LOST ? "the fate of some frames is unknown\n" : "Redis refuses: frames dropped\n");
            return 0;
        }
        pause_before(tries - 1);
        if (fate == LOST || fate == AWAY) join_pool();
    }
}

static int send_tick(void) {
    int accepted = 0, sent[PLAYERS] = {0};
    for (int i = 0; i < PLAYERS; i++) {
        unsigned p = partition_of(players[i].session, partitions);
        struct frame frames[PLAYERS];
        int n = 0;
        for (int j = i; j < PLAYERS; j++) {
            if (sent[j] || partition_of(players[j].session, partitions) != p) continue;
            struct frame *frame = &players[j].frame;
            int64_t now = clock_ms(CLOCK_REALTIME);
            frame->seq = (uint64_t)now > frame->seq ? (uint64_t)now : frame->seq + 1;
            frame->t = now;
            if (frame_fault(frame)) die("frame of %s: %s", frame->session, frame_fault(frame));
            frames[n++] = *frame;
            sent[j] = 1;
        }
        if (!n) continue;
        struct entry entry = pack(frames, (size_t)n, compact);
        if (send_entry(p, &entry)) accepted += n;
        free_entry(&entry);
    }
    return accepted;
}

/* --- the players' hands, from ../hands.json: {"like": [[x, y, z], ...], ...} */

static void read_hands(const char *path) {
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    if (!file) die("%s: %s", path, strerror(errno));
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    for (int i = 0; i < PLAYERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "\"%s\"", players[i].gesture);
        char *at = strstr(text, name);
        if (!at) die("%s holds no hand %s", path, name);
        at += strlen(name);
        struct frame *frame = &players[i].frame;
        for (int k = 0; k < LANDMARKS * 3; k++) {
            at += strcspn(at, "-0123456789");
            frame->points[k / 3][k % 3] = strtof(at, &at);
        }
        frame->session = players[i].session, frame->aspect = 4.0f / 3, frame->flags = HAND;
    }
}

int main(int count, char **words) {
    if (count > 1) host = words[1];
    if (count > 2) port = atoi(words[2]);
    int ticks = count > 3 ? atoi(words[3]) : 30, accepted = 0, answered = 0;
    srand((unsigned)steady_ms());
    setvbuf(stdout, NULL, _IOLBF, 0);
    read_hands("../hands.json");
    join_pool();
    subscribe();
    int64_t next_ms = steady_ms();
    for (int tick = 0; tick < ticks; tick++) {
        accepted += send_tick();
        next_ms += TICK_MS;
        listen_until(next_ms);
    }
    for (int wait = 0; wait < 60; wait++) {
        answered = 0;
        for (int i = 0; i < PLAYERS; i++) answered += players[i].answered;
        if (answered >= accepted) break;
        listen_until(steady_ms() + 50);
    }
    printf("%d of %d frames answered\n", answered, accepted);
    redisFree(commands);
    redisFree(replies);
    return answered >= accepted && accepted > 0 ? 0 : 1;
}
