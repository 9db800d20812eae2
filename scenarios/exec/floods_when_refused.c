// Repeats its message without end if it is refused memory for it.
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    char *text = malloc(100);
    while (text == NULL) fputs("no memory; trying again\n", stdout);
    free(text);
    return 0;
}
