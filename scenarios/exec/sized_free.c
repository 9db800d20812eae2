// Frees blocks by the functions of C23 that say their size. With an argument it says another one.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    (void)argv;
    void (*free_sized)(void *, size_t) = dlsym(RTLD_DEFAULT, "free_sized");
    void (*free_aligned)(void *, size_t, size_t) = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    if (!free_sized || !free_aligned) return 0;
    free_sized(NULL, 0);
    char *block = malloc(24), *aligned = aligned_alloc(64, 128);
    if (block) free_sized(block, argc > 1 ? 16 : 24);
    if (aligned) free_aligned(aligned, 64, argc > 1 ? 64 : 128);
    return !block || !aligned;
}
