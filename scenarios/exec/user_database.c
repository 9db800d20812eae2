// Looks up a user. Where the C library has no memory for what its configuration says, it ends the program.
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    struct passwd *user = getpwuid(0);
    if (!user) return fputs("there is no such user\n", stderr), 1;
    return user->pw_uid != 0;
}
