/* Packs frames that it reads, for the test against tests/vectors.
 *
 *   session seq t aspect flags compact x y z ... (63 numbers)
 *
 * One frame a line, an empty line ends an entry. Prints the partition of 16 of the first session, the name of the
 * landmarks' field, and s, m and the landmarks as hex; or the reason why a frame is refused. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

static void print_hex(const unsigned char *bytes, size_t length) {
    putchar(' ');
    for (size_t i = 0; i < length; i++) printf("%02x", bytes[i]);
}

static void flush(struct frame *frames, size_t n, int compact) {
    const char *fault = NULL;
    for (size_t i = 0; i < n && !fault; i++) fault = frame_fault(&frames[i]);
    if (fault) {
        puts(fault);
        return;
    }
    struct entry entry = pack(frames, n, compact);
    printf("%u %s", partition_of(frames[0].session, 16), entry.landmarks_name);
    print_hex(entry.s, entry.s_len);
    print_hex(entry.m, entry.m_len);
    print_hex(entry.landmarks, entry.landmarks_len);
    putchar('\n');
    free_entry(&entry);
}

int main(void) {
    static char line[8192], names[64][128];
    static struct frame frames[64];
    size_t n = 0;
    int compact = 0;
    while (fgets(line, sizeof line, stdin)) {
        if (line[0] == '\n') {
            flush(frames, n, compact);
            n = 0;
            continue;
        }
        struct frame *one = &frames[n];
        int used = 0;
        if (n == 64 || sscanf(line, "%127s %" SCNu64 " %" SCNd64 " %f %" SCNu32 " %d%n", names[n], &one->seq, &one->t,
                              &one->aspect, &one->flags, &compact, &used) != 6)
            return 2;
        char *at = line + used;
        for (int i = 0; i < LANDMARKS * 3; i++) one->points[i / 3][i % 3] = strtof(at, &at);
        one->session = names[n++];
    }
    return 0;
}
