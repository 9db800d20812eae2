// Calls every function that gives memory out, and ends itself where one of them breaks its contract:
// by the result, its alignment, its size or `errno`, whether it succeeds or is refused.
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(what) ((what) ? (void)0 : (fprintf(stderr, "line %d: " #what "\n", __LINE__), abort()))

static int refused;

// Writes to the whole of a block and frees it, or looks at the error of a refused one.
static void use(void *block, size_t align, size_t size) {
    if (!block) {
        MUST(errno == ENOMEM);
        refused = 1;
        return;
    }
    MUST(errno == 7);
    MUST((uintptr_t)block % align == 0);
    MUST(malloc_usable_size(block) >= size);
    memset(block, 0xff, size);
    errno = 9;
    free(block);
    MUST(errno == 9);
}

static void *by_posix(size_t align, size_t size) {
    void *block = &refused;
    int error = posix_memalign(&block, align, size);
    MUST(errno == 7);
    MUST(error == 0 || (error == ENOMEM && block == &refused));
    if (error == 0) return block;
    errno = error;
    return NULL;
}

int main(void) {
    size_t page = 4096;
    errno = 7, use(malloc(24), 16, 24);
    errno = 7, use(malloc(0), 1, 0);
    char *zeroed = (errno = 7, calloc(5, 11));
    for (int n = 0; zeroed && n < 55; n++) MUST(zeroed[n] == 0);
    use(zeroed, 16, 55);
    errno = 7, use(realloc(NULL, 30), 16, 30);
    errno = 7, use(reallocarray(NULL, 3, 30), 16, 90);
    errno = 7, use(aligned_alloc(64, 128), 64, 128);
    errno = 7, use(memalign(256, 10), 256, 10);
    errno = 7, use(valloc(10), page, 10);
    errno = 7, use(pvalloc(10), page, page);
    errno = 7, use(by_posix(1024, 10), 1024, 10);
    errno = 7, use(strdup("text"), 1, 5);

    // A refused `realloc` leaves the block as it is.
    char *text = malloc(6);
    if (!text) return 1;
    strcpy(text, "hello");
    errno = 7;
    char *longer = realloc(text, 500);
    MUST(errno == (longer ? 7 : ENOMEM));
    text = longer ? longer : text;
    MUST(strcmp(text, "hello") == 0);
    errno = 7;
    char *shorter = reallocarray(text, 1, 6);
    MUST(errno == (shorter ? 7 : ENOMEM));
    MUST(strcmp(shorter ? shorter : text, "hello") == 0);
    free(shorter ? shorter : text);

    // What no machine has is refused without a request, as is what is no alignment.
    volatile size_t huge = SIZE_MAX - 100;
    void *place = &refused;
    MUST((errno = 0, !malloc(huge) && errno == ENOMEM));
    MUST((errno = 0, !calloc(huge / 2, 3) && errno == ENOMEM));
    MUST((errno = 0, !realloc(NULL, huge) && errno == ENOMEM));
    MUST((errno = 0, !reallocarray(NULL, huge / 2, 3) && errno == ENOMEM));
    MUST((errno = 0, !aligned_alloc(64, huge) && errno == ENOMEM));
    MUST((errno = 0, !memalign(64, huge) && errno == ENOMEM));
    MUST((errno = 0, !valloc(huge) && errno == ENOMEM));
    MUST((errno = 0, !pvalloc(huge) && errno == ENOMEM));
    MUST((errno = 0, posix_memalign(&place, 64, huge) == ENOMEM && errno == 0));
    MUST((errno = 0, posix_memalign(&place, 24, 10) == EINVAL && errno == 0));
    MUST(place == &refused);
    MUST(malloc_usable_size(NULL) == 0);
    free(NULL);
    return refused;
}
