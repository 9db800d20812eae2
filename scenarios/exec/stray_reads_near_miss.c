// Reads its blocks up to their last byte, also where another one is refused: a near miss of a stray
// access. It has blocks of any size, and many of them.
#include <stdlib.h>
#include <string.h>

static int sum(const unsigned char *bytes, size_t size) {
    int all = 0;
    for (size_t i = 0; i < size; i++) all += bytes[i];
    return all;
}

int main(void) {
    unsigned char *blocks[40] = {0};
    int all = 0;
    for (size_t i = 0; i < 40; i++) {
        size_t size = i * 7;
        if (!(blocks[i] = calloc(size, 1))) break;
        all += sum(blocks[i], size);
    }
    unsigned char *grown = realloc(blocks[3], 100);
    if (grown) {
        blocks[3] = grown;
        memset(grown + 21, 0, 79);
        all += sum(grown, 100);
    }
    for (size_t i = 0; i < 40; i++) free(blocks[i]);
    return all;
}
