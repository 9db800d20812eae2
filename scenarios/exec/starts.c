// Starts other programs in the ways that aren't in children.c: `posix_spawn`, `vfork` and `popen`. It
// passes on what they say.
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int status_of(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child ? WEXITSTATUS(status) : -1;
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    char *words[] = {"sh", "-c", "exit 5", NULL};
    pid_t child;
    if (posix_spawn(&child, "/bin/sh", NULL, NULL, words, environ)) return 1;
    int spawned = status_of(child);
    child = vfork();
    if (child == 0) {
        execv("/bin/sh", words);
        _exit(9);
    }
    int forked = status_of(child);
    child = vfork();
    if (child == 0) _exit(6);
    int exited = status_of(child);
    char *own = malloc(10);
    if (!own) return 1;
    free(own);
    FILE *said = popen("echo ${LD_PRELOAD-none} ${MALLORY_EXEC-none}; exit 7", "r");
    if (!said) return 1;
    static char room[64];
    setvbuf(said, room, _IOFBF, sizeof room);
    char line[64] = "";
    char *got = fgets(line, sizeof line, said);
    int piped = WEXITSTATUS(pclose(said));
    if (!got) return 1;
    printf("%d %d %d %d %s", spawned, forked, exited, piped, line);
    return 0;
}
