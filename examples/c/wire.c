#include "wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint32_t wire_crc32(const char *text) {
    uint32_t crc = 0xFFFFFFFFu;
    for (; *text; text++) {
        crc ^= (unsigned char)*text;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return crc ^ 0xFFFFFFFFu;
}

unsigned partition_of(const char *session, unsigned partitions) { return wire_crc32(session) % partitions; }

static int is_session(const char *session) {
    size_t length = strlen(session);
    return length >= 1 && length <= MAX_SESSION &&
           strspn(session, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

const char *frame_fault(const struct frame *frame) {
    if (!is_session(frame->session)) return "bad_session";
    if (frame->seq > INT64_MAX) return "bad_seq";
    if (frame->t == INT64_MIN) return "bad_time";
    if (!(frame->aspect >= 0.01f && frame->aspect <= 100.0f)) return "bad_aspect";
    if (frame->flags > (HAND | LEFT | MIRRORED)) return "bad_flags";
    for (int i = 0; i < LANDMARKS * 3; i++)
        if (!(fabsf(frame->points[i / 3][i % 3]) <= 1e9f)) return "not_finite";
    return NULL;
}

/* Little-endian on every machine. */
static unsigned char *put(unsigned char *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) *at++ = (unsigned char)(value >> (8 * i));
    return at;
}

static unsigned char *put_float(unsigned char *at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put(at, bits, 4);
}

static int fits_compact(const struct frame *frames, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (int point = 0; frames[i].flags & HAND && point < LANDMARKS; point++)
            for (int axis = 0; axis < 2; axis++)
                if (!(frames[i].points[point][axis] >= -1.0f && frames[i].points[point][axis] <= 3.0f)) return 0;
    return 1;
}

static unsigned char *put_landmarks(unsigned char *at, const struct frame *frame, int compact) {
    for (int point = 0; point < LANDMARKS; point++)
        for (int axis = 0; axis < (compact ? 2 : 3); axis++) {
            double value = frame->flags & HAND ? frame->points[point][axis] : 0.0;
            if (!compact) at = put_float(at, (float)value);
            else at = put(at, frame->flags & HAND ? (uint64_t)lround((value + 1) / 4 * 65535) : 0, 2);
        }
    return at;
}

struct entry pack(const struct frame *frames, size_t n, int compact) {
    compact = compact && fits_compact(frames, n);
    struct entry entry = {.landmarks_name = compact ? "c" : "l"};
    entry.m_len = n * META_BYTES;
    entry.landmarks_len = n * (compact ? COMPACT_BYTES : FULL_BYTES);
    entry.s = malloc(n * (MAX_SESSION + 1));
    entry.m = malloc(entry.m_len);
    entry.landmarks = malloc(entry.landmarks_len);
    if (!entry.s || !entry.m || !entry.landmarks) abort();
    unsigned char *m = entry.m, *landmarks = entry.landmarks;
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(frames[i].session);
        if (i) entry.s[entry.s_len++] = ' ';
        memcpy(entry.s + entry.s_len, frames[i].session, length);
        entry.s_len += length;
        m = put(m, frames[i].seq, 8);
        m = put(m, (uint64_t)frames[i].t, 8);
        m = put_float(m, frames[i].aspect);
        m = put(m, frames[i].flags, 4);
        landmarks = put_landmarks(landmarks, &frames[i], compact);
    }
    return entry;
}

void free_entry(struct entry *entry) {
    free(entry->s);
    free(entry->m);
    free(entry->landmarks);
}
