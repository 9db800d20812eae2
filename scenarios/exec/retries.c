// Asks again and again: it ends if the request fails once, and never if requests fail for good.
#include <stdlib.h>

int main(void) {
    char *block;
    while (!(block = malloc(10))) {}
    free(block);
    return 0;
}
