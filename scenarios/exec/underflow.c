// Without a second buffer the index is one below the first.
#include <stdlib.h>

int main(void) {
    char *numbers = malloc(16);
    if (!numbers) return 1;
    char *order = malloc(16);
    int last = order ? 15 : -1;
    numbers[last] = 7;
    free(order);
    free(numbers);
    return 0;
}
