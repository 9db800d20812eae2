// Has an allocator of its own, or one of a name that is known.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef MIMALLOC
void *mi_malloc(size_t size) { return malloc(size); }
#else
static char memory[1 << 16];
static size_t used;

void *malloc(size_t size) {
    char *block = memory + used;
    used += (size + 15) / 16 * 16;
    return used < sizeof memory ? block : NULL;
}
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return malloc(count * size); }
void *realloc(void *block, size_t size) { (void)block; return malloc(size); }
#endif

int main(void) {
    char *text = malloc(16);
    if (text == NULL) return 1;
    free(text);
    return 0;
}
