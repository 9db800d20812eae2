// Closes every descriptor that it can, and loses a block afterwards.
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

static int lose(void) {
    char *volatile block = malloc(24);
    int status = block ? 0 : 1;
    block = NULL;
    return status;
}

int main(void) {
    for (int number = 3; number < 1 << 20; number++) close(number);
    closefrom(0);
    int status = lose();
    volatile char clear[512] = {0};
    return status + clear[0];
}
