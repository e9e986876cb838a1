/* Frames as the pool wants them: partitions, packed entries, compact landmarks. See docs/wire.md. */
#ifndef WIRE_H
#define WIRE_H

#include <stddef.h>
#include <stdint.h>

enum { LANDMARKS = 21, META_BYTES = 24, FULL_BYTES = 252, COMPACT_BYTES = 84, MAX_SESSION = 64 };
enum { HAND = 1, LEFT = 2, MIRRORED = 4 };

struct frame {
    const char *session;
    uint64_t seq;
    int64_t t; /* ms */
    float aspect;
    uint32_t flags;
    float points[LANDMARKS][3];
};

/* The fields of one stream entry. `landmarks_name` is "l" or "c". */
struct entry {
    unsigned char *s, *m, *landmarks;
    size_t s_len, m_len, landmarks_len;
    const char *landmarks_name;
};

/* NULL, or what is wrong with a frame, before it is sent. */
const char *frame_fault(const struct frame *frame);

uint32_t wire_crc32(const char *text);
unsigned partition_of(const char *session, unsigned partitions);

/* Packs n frames of one partition; compact where `compact` is set and every coordinate fits. */
struct entry pack(const struct frame *frames, size_t n, int compact);
void free_entry(struct entry *entry);

#endif
