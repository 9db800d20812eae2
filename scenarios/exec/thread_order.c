// Two threads, of which the one that is started later makes its request first, and loses a block if its
// second one is refused.
#include <pthread.h>
#include <stdlib.h>

static pthread_barrier_t barrier;

static void *wait(void *unused) {
    pthread_barrier_wait(&barrier);
    free(malloc(10));
    return unused;
}

static void *lose(void *unused) {
    char *block = malloc(20), *more = malloc(30);
    pthread_barrier_wait(&barrier);
    if (!more) return unused; // The bug: the block is lost.
    free(more);
    free(block);
    return unused;
}

int main(void) {
    pthread_t first, second;
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&first, NULL, wait, NULL)) return 1;
    if (pthread_create(&second, NULL, lose, NULL)) return 1;
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    return 0;
}
