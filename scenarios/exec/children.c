// Starts others: by `fork`, whose child makes requests and exits, and by a shell. Their requests are
// not its own, and their exits don't end it.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    char *own = malloc(10);
    if (!own) return 1;
    pid_t child = fork();
    if (child == 0) {
        for (int n = 0; n < 100; n++)
            if (!malloc(100)) exit(9);
        exit(5);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("the child: %d\n", WEXITSTATUS(status));
    status = system("exit 7");
    if (status < 0) return 1;
    printf("the shell: %d\n", WEXITSTATUS(status));
    free(own);
    return 0;
}
