// Words that there is no memory for are left out of the sum, without a word.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    int sum = 0;
    for (int n = 1; n <= 3; n++) {
        int *number = malloc(sizeof *number);
        if (!number) continue;
        *number = n;
        sum += *number;
        free(number);
    }
    printf("%d\n", sum);
    return 0;
}
