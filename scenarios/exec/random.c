// Writes random numbers from everywhere that a program may get them from.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

static int differs_from(const char *device, unsigned long *number) {
    int file = open(device, O_RDONLY);
    int failed = file < 0 || read(file, number, sizeof *number) != sizeof *number;
    close(file);
    return failed;
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    unsigned long numbers[5] = {0};
    if (getrandom(&numbers[0], 8, 0) != 8 || getentropy(&numbers[1], 8)) return 1;
    if (differs_from("/dev/urandom", &numbers[2]) || differs_from("/dev/random", &numbers[3])) return 1;
    memcpy(&numbers[4], (void *)getauxval(AT_RANDOM), 8);
    char *block = malloc(10);
    free(block);
    for (int n = 0; n < 5; n++) {
        if (!numbers[n]) return 2;
        printf("%lx\n", numbers[n]);
    }
    return 0;
}
