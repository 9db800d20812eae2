// As silent_wrong.c, but it says so.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    int sum = 0;
    for (int n = 1; n <= 3; n++) {
        int *number = malloc(sizeof *number);
        if (!number) {
            fprintf(stderr, "number %d is left out\n", n);
            continue;
        }
        *number = n;
        sum += *number;
        free(number);
    }
    printf("%d\n", sum);
    return 0;
}
