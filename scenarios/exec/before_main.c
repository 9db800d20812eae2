// Requests blocks before `main` and gives them back, grows them and loses one in it: they were served
// before anybody watched.
#include <stdlib.h>
#include <string.h>

static char *freed, *grown, *kept;

__attribute__((constructor)) static void prepare(void) {
    freed = malloc(100);
    grown = malloc(20);
    kept = calloc(3, 10);
    memset(grown, 'x', 20);
    free(malloc(5));
}

int main(void) {
    free(freed);
    char *larger = realloc(grown, 2000);
    if (!larger) return 1;
    int wrong = memcmp(larger, "xxxxxxxxxxxxxxxxxxxx", 20) != 0;
    free(larger);
    kept = NULL;
    return wrong;
}
