// Forks while threads request and free blocks: the children do so too, whatever lock was held at the time.
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *work(void *unused) {
    for (int n = 0; n < 2000; n++) free(malloc(100));
    return unused;
}

int main(void) {
    pthread_t threads[2];
    for (int n = 0; n < 2; n++)
        if (pthread_create(&threads[n], NULL, work, NULL)) return 1;
    int failed = 0;
    for (int n = 0; n < 20; n++) {
        pid_t child = fork();
        if (child == 0) {
            for (int turns = 0; turns < 100; turns++) free(malloc(50));
            exit(0);
        }
        int status = 1;
        failed += child < 0 || waitpid(child, &status, 0) != child || status != 0;
    }
    for (int n = 0; n < 2; n++) pthread_join(threads[n], NULL);
    return failed;
}
