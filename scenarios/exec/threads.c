// Two threads that each ask for memory; the program exits while a third one still sleeps.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *work(void *unused) {
    (void)unused;
    for (int n = 0; n < 4; n++) {
        char *block = malloc(16);
        if (!block) return (void *)1;
        free(block);
    }
    return NULL;
}

static void *doze(void *unused) {
    (void)unused;
    char *volatile held = malloc(50);
    for (;;) pause();
    free(held);
    return NULL;
}

int main(void) {
    pthread_t first, second, third;
    if (pthread_create(&third, NULL, doze, NULL)) return 2;
    if (pthread_create(&first, NULL, work, NULL)) return 2;
    void *failed = NULL, *also = NULL;
    pthread_join(first, &failed);
    if (pthread_create(&second, NULL, work, NULL)) return 2;
    pthread_join(second, &also);
    return failed || also ? 1 : 0;
}
