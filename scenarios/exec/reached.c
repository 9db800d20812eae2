// Near miss of a leak: at its exit only unusual places lead to its block. The argument names one, and with
// another one nothing leads to it.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char *make(void) { return malloc(40); }

static int by_key(void) {
    pthread_key_t key;
    return pthread_key_create(&key, NULL) || pthread_setspecific(key, make());
}

// A key for whose values the C library has no room in the thread itself: it requests some.
static int by_late_key(void) {
    pthread_key_t key = 0;
    for (int n = 0; n < 100; n++)
        if (pthread_key_create(&key, NULL)) return 1;
    char *block = make();
    if (pthread_setspecific(key, block)) return free(block), 1;
    return 0;
}

static int by_mapping(void) {
    char **place = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) return 1;
    place[700] = make();
    return 0;
}

// Memory that the program takes from the system as `malloc` does.
static int by_break(void) {
    char **place = sbrk(4096);
    if (place == (void *)-1) return 1;
    place[9] = make();
    return 0;
}

static int by_array(void) {
    static char *places[1000];
    places[999] = make();
    return 0;
}

// In the middle of a block, by a pointer to the other one's middle.
static int by_middle(void) {
    static char **block;
    block = calloc(100, sizeof *block);
    if (!block) return 1;
    char *other = make();
    block[60] = other ? other + 20 : NULL;
    return 0;
}

static pthread_barrier_t barrier;
static _Thread_local char *local;

// On the stack of another thread, or in what is thread-local to it.
static void *hold(void *is_local) {
    char *volatile held = make();
    if (is_local) {
        local = held;
        held = NULL;
    }
    pthread_barrier_wait(&barrier);
    for (;;) pause();
}

static int by_thread(void *is_local) {
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, hold, is_local)) return 1;
    pthread_barrier_wait(&barrier);
    return 0;
}

static int clear_stack(int status) {
    volatile char bytes[4096] = {0};
    return status + bytes[status];
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    int status = 1;
    if (strcmp(how, "key") == 0) status = by_key();
    if (strcmp(how, "late-key") == 0) status = by_late_key();
    if (strcmp(how, "mapping") == 0) status = by_mapping();
    if (strcmp(how, "break") == 0) status = by_break();
    if (strcmp(how, "array") == 0) status = by_array();
    if (strcmp(how, "middle") == 0) status = by_middle();
    if (strcmp(how, "stack") == 0) status = by_thread(NULL);
    if (strcmp(how, "local") == 0) status = by_thread(&local);
    if (strcmp(how, "nothing") == 0) status = make() ? 0 : 1;
    exit(clear_stack(status));
}
